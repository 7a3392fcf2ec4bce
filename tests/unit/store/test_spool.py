import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.usage import usage_row

from sekisho.core.errors import StoreUnavailable
from sekisho.core.usage import Usage
from sekisho.store import spool as spool_module
from sekisho.store.records import UsageRow
from sekisho.store.spool import Entry, Spool, _File, _frame, is_alive, read_dead

BOOKED = {"key:k:money@0/all": True, "team:t:money@0/all": False}


def row(**more: Any) -> UsageRow:
    return usage_row(usage=Usage(input=3), **more)


def left_by_the_dead(folder: Path) -> dict[str, list[Entry]]:
    return {worker: list(entries) for worker, entries in read_dead(folder)}


def die(spool: Spool) -> None:
    """What the operating system does for a killed process: its files are closed, and so unlocked."""
    for file in (spool._file, spool._old, spool._spare):
        if file is not None:
            os.close(file._descriptor)


def full(*_: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_end_of_a_call_is_found_again_and_a_call_without_end_as_it_was_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w1")
    ended, open_call = row(), row(estimated=True)
    spool.sent(msgspec.structs.replace(ended, estimated=True), BOOKED)
    spool.sent(open_call, BOOKED)
    spool.done(ended, BOOKED)
    assert left_by_the_dead(tmp_path) == {}  # it lives
    die(spool)
    found = left_by_the_dead(tmp_path)["w1"]
    assert {entry.row.id: (entry.row, entry.done) for entry in found} == {
        ended.id: (ended, True),
        open_call.id: (open_call, False),
    }
    assert all(entry.booked == BOOKED for entry in found)
    assert left_by_the_dead(tmp_path) == {}  # read once
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_grown_gives_way_to_one_with_only_the_calls_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_ROTATE", 1000)
    spool = Spool(tmp_path, "w1")
    open_call = row()
    spool.sent(open_call, BOOKED)
    for _ in range(50):
        spool.done(row(), BOOKED)
    assert spool.rotate()
    assert not spool.rotate()
    assert len(list(tmp_path.iterdir())) == 2
    spool.forget_old()
    die(spool)
    assert [entry.row for entry in left_by_the_dead(tmp_path)["w1"]] == [open_call]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [0, 1, 30])
def test_nothing_of_its_former_use_is_read_from_a_file_that_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """Frames of the same length lie where they lay the last time, so that the old ones follow the new ones whole."""
    monkeypatch.setattr(spool_module, "_ROTATE", 1000)
    spool = Spool(tmp_path, "w1")
    first = spool._file
    open_call = row()
    spool.sent(open_call, BOOKED)
    for _ in range(2):
        for _ in range(20):
            spool.done(row(), BOOKED)
        assert spool.rotate()
        spool.forget_old()
    assert spool._file is first
    later = [row() for _ in range(more)]
    for one in later:
        spool.done(one, BOOKED)
    assert spool.read_done(0, 99) == ([Entry(one, BOOKED, True) for one in later], spool._file.size)
    die(spool)
    assert [entry.row for entry in left_by_the_dead(tmp_path)["w1"]] == [*later, open_call]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_grown_in_an_outage_gives_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_ROTATE", 1000)
    monkeypatch.setattr(spool_module, "_REUSED", 0)
    spool = Spool(tmp_path, "w1")
    for _ in range(50):
        spool.done(row(), BOOKED)
    assert spool.rotate()
    spool.forget_old()
    assert [path.name for path in tmp_path.iterdir()] == ["w1.2.spool"]
    spool.close(keep=False)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_dies_with_two_files_leaves_every_call_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_ROTATE", 1000)
    spool = Spool(tmp_path, "w1")
    before, during, open_call = row(estimated=True), row(estimated=True), row(estimated=True)
    for one in (before, during, open_call):
        spool.sent(one, BOOKED)
    ended = [msgspec.structs.replace(one, estimated=False) for one in (before, during)]
    spool.done(ended[0], BOOKED)
    assert spool.rotate()
    spool.done(ended[1], BOOKED)
    die(spool)
    found = [entry.row for entry in left_by_the_dead(tmp_path)["w1"]]
    assert found == [*ended, open_call]


def test_a_full_disk_refuses_new_calls_but_takes_the_ends_of_those_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "w1")
    begun = []
    monkeypatch.setattr(os, "posix_fallocate", full)

    def fill() -> None:
        for _ in range(100_000):
            spool.sent(one := row(), BOOKED)
            begun.append(one)

    with pytest.raises(StoreUnavailable, match="No space left"):
        fill()
    for one in begun:
        spool.done(one, BOOKED)
    monkeypatch.undo()
    die(spool)
    assert len(left_by_the_dead(tmp_path)["w1"]) == len(begun)


def test_a_call_that_never_left_finds_no_room_on_a_full_disk_and_takes_none_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "w1")
    begun = [row() for _ in range(700)]
    for one in begun:
        spool.sent(one, BOOKED)
    monkeypatch.setattr(os, "posix_fallocate", full)

    def fill() -> None:
        for _ in range(100_000):
            spool.done(row(), {})

    with pytest.raises(StoreUnavailable, match="No space left"):
        fill()
    for one in begun:
        spool.done(one, BOOKED)
    die(spool)
    (entries,) = left_by_the_dead(tmp_path).values()
    assert {entry.row.id for entry in entries if entry.done} >= {one.id for one in begun}


def test_a_file_that_cannot_be_rotated_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_ROTATE", 1000)
    spool = Spool(tmp_path, "w1")
    rows = [row() for _ in range(20)]
    for one in rows:
        spool.sent(one, BOOKED)
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not spool.rotate()
    monkeypatch.undo()
    spool.done(rows[0], BOOKED)
    die(spool)
    assert len(left_by_the_dead(tmp_path)["w1"]) == 20
    assert list(tmp_path.iterdir()) == []


def test_the_file_before_a_rotation_does_not_outvote_the_one_after_it(tmp_path: Path) -> None:
    """The process died between making the new file and removing the old one; tens sort after units."""
    call = row(estimated=True)
    ended = msgspec.structs.replace(call, estimated=False)
    old, new = _File(tmp_path, "host.example-1", 9), _File(tmp_path, "host.example-1", 10)
    for file, entry in (
        (old, Entry(call, BOOKED, False)),
        (new, Entry(call, BOOKED, False)),
        (new, Entry(ended, {}, True)),
    ):
        file.append(_frame(entry), 0)
    os.close(old._descriptor)
    assert left_by_the_dead(tmp_path) == {}  # one of its files is still locked
    assert is_alive(tmp_path, "host.example-1")
    os.close(new._descriptor)
    assert not is_alive(tmp_path, "host.example-1")
    assert [entry.row for entry in left_by_the_dead(tmp_path)["host.example-1"]] == [ended]


def test_what_a_reader_did_not_finish_stays(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w1")
    spool.done(row(), BOOKED)
    die(spool)
    for _worker, entries in read_dead(tmp_path):
        list(entries)
        break
    assert len(left_by_the_dead(tmp_path)["w1"]) == 1


def test_the_ends_of_calls_are_read_again_from_any_place(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w1")
    rows = [row() for _ in range(10)]
    places = []
    for one in rows:
        spool.sent(one, BOOKED)
        places.append(spool.done(one, BOOKED))
    entries, place = spool.read_done(places[3], 4)
    assert [entry.row for entry in entries] == rows[3:7]
    entries, place = spool.read_done(place, 4)
    assert [entry.row for entry in entries] == rows[7:]
    assert spool.read_done(place, 4) == ([], place)
    spool.close(keep=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot be made"):
        Spool(tmp_path / "file" / "spool", "w1")


@given(cut=st.integers(0, 2000), flipped=st.none() | st.integers(0, 1999))
def test_a_broken_tail_costs_only_what_is_broken(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flipped: int | None
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, "w1")
    rows = [row() for _ in range(6)]
    for one in rows:
        spool.done(one, BOOKED)
    die(spool)
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes()[:cut])
    if flipped is not None and flipped < len(data):
        data[flipped] ^= 0x55
    path.write_bytes(data)
    found = [entry.row for entry in left_by_the_dead(folder).get("w1", [])]
    assert found == rows[: len(found)]
