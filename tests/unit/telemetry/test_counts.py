"""Counts that several processes keep: nothing is lost, whoever dies, and nothing of an earlier gateway comes back."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sekisho.telemetry import counts as module
from sekisho.telemetry.counts import Counts, open_counts


def add(counts: Counts, name: str, amount: int, table: int = 1) -> None:
    places = {labels: place for known, labels, place in counts.places() if known == table}
    place = places.get((name,)) or counts.add_row(table, (name,), 2)
    assert place is not None
    counts.values[place] += amount
    counts.values[place + 1] -= amount


def sums(counts: Counts) -> Counter[tuple[int, str]]:
    found: Counter[tuple[int, str]] = Counter()
    for table, (name,), (amount, negative) in counts.read_all():
        assert negative == -amount
        found[table, name] += amount
    return found


@pytest.mark.parametrize("folder", [None, "counts"])
def test_what_is_counted_is_read_back(folder: str | None, tmp_path: Path) -> None:
    counts = open_counts(tmp_path / folder if folder else None, "run")
    for _ in range(3):
        add(counts, "a", 2)
        add(counts, "ü" * 100, 5)
        add(counts, "a", 1, table=2)
    assert sums(counts) == {(1, "a"): 6, (1, "ü" * 100): 15, (2, "a"): 3}
    counts.close()


def test_everyone_reads_what_all_have_counted(tmp_path: Path) -> None:
    one, two = open_counts(tmp_path, "run"), open_counts(tmp_path, "run")
    add(one, "a", 1)
    add(two, "a", 10)
    add(two, "b", 5)
    assert sums(one) == sums(two) == {(1, "a"): 11, (1, "b"): 5}
    one.close()
    assert sums(two) == {(1, "a"): 11, (1, "b"): 5}
    two.close()


def test_who_comes_after_the_dead_goes_on_counting_in_their_file(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from sekisho.telemetry.counts import open_counts
counts = open_counts(Path(sys.argv[1]), "run")
place = counts.add_row(1, ("a",), 2)
counts.values[place] += 7
counts.values[place + 1] -= 7
os.kill(os.getpid(), 9)
"""
    for _ in range(3):
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
        assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    heir = open_counts(tmp_path, "run")
    assert len([labels for _, labels, _ in heir.places()]) == 3  # each of the dead made a row of its own
    add(heir, "a", 1)
    assert sums(heir) == {(1, "a"): 22}
    heir.close()


def test_an_earlier_run_is_forgotten_but_not_one_that_lives(tmp_path: Path) -> None:
    dead, living = open_counts(tmp_path, "dead"), open_counts(tmp_path, "living")
    add(dead, "a", 1)
    add(living, "a", 2)
    open_counts(tmp_path, "living").close()  # one of its workers has died
    dead.close()
    new = open_counts(tmp_path, "new")
    assert sums(new) == {}
    assert sums(living) == {(1, "a"): 2}
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"living", "new"}
    assert len(list(tmp_path.glob("living.*"))) == 2
    new.close()
    living.close()


def test_without_room_there_is_no_new_row_and_the_old_ones_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = open_counts(tmp_path, "run")
    add(counts, "a", 1)

    def refuse(_descriptor: int, _start: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_allocate", refuse)
    rows = 0
    while counts.add_row(1, (f"row {rows}",), 100) is not None:
        rows += 1
    assert 100 < rows < 1000
    add(counts, "a", 1)
    assert next(values for _, labels, values in counts.read_all() if labels == ("a",)) == [2, -2]
    counts.close()


def test_where_nothing_can_be_written_a_process_counts_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    counts = open_counts(tmp_path / "file", "run")
    add(counts, "a", 1)
    assert sums(counts) == {(1, "a"): 1}
    assert "metrics are those of one worker only" in caplog.text
    counts.close()
