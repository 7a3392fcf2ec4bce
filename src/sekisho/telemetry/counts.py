"""Counts that several processes of one machine keep, each in memory of its own that the others can read.

Every worker has a file in a common folder, mapped into its memory: counting is an addition to an integer there, which
reaches everybody at once and outlives the process. A file is locked as long as its process lives. Who comes after a
worker that died takes over its file and goes on counting in it, so that no count is lost or goes back; files of an
earlier run of the gateway are removed.

A file is a sequence of 64-bit integers: a mark, how many of them are in use, and rows. A row is the number of its table
and the width of its values, the length of its name in bytes, the name (MessagePack) filled up to eight bytes, and the
values. A row is written before it counts as in use, and is never moved or removed.
"""

import contextlib
import fcntl
import logging
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

_log = logging.getLogger("sekisho")

Labels = tuple[str, ...]
Row = tuple[int, Labels, list[int]]
"""The number of a table, the labels and the values."""

_MARK: Final = int.from_bytes(b"sekisho1", "little")
_WORD: Final = 8
_HEAD: Final = 2
_USED: Final = 1
_CAPACITY: Final = 32 * 1024 * 1024
_STEP: Final = 256 * 1024
"""Bytes by which a file grows on the disk; what is mapped beyond must not be touched."""
_ENDING: Final = ".counts"
_decode_labels = msgspec.msgpack.Decoder(Labels).decode


class Counts:
    """One process's counts. `values` are the integers; `add_row` says where those of a row begin."""

    def __init__(self, memory: mmap.mmap, descriptor: int | None, folder: Path | None, run: str) -> None:
        self._memory = memory
        self._descriptor = descriptor
        self._folder = folder
        self._run = run
        self._room = len(memory) if descriptor is None else 0
        self.values = memoryview(memory).cast("q")

    def begin(self) -> None:
        """Make the memory usable, which may have rows already. Raises OSError when there is no room for it."""
        self._make_room(_HEAD)
        if self._descriptor is not None:
            self._make_room(self.values[_USED])
        self.values[0] = _MARK
        self.values[_USED] = max(self.values[_USED], _HEAD)

    def add_row(self, table: int, labels: Labels, width: int) -> int | None:
        """Make a row of zeros; returns the place of its first value, None when there is no room for it."""
        name = msgspec.msgpack.encode(labels)
        words = -(-len(name) // _WORD)
        start = self.values[_USED]
        place = start + 2 + words
        try:
            self._make_room(place + width)
        except OSError:
            return None
        self.values[start] = table << 32 | width
        self.values[start + 1] = len(name)
        self._memory[(start + 2) * _WORD : (start + 2) * _WORD + len(name)] = name
        self.values[_USED] = place + width
        return place

    def places(self) -> Iterator[tuple[int, Labels, int]]:
        """The table, the labels and the place of the first value of every row."""
        for table, labels, place, _ in _walk(self.values, self.values[_USED]):
            yield table, labels, place

    def read_all(self) -> Iterator[Row]:
        """Every row of all processes of this run; what they count meanwhile may be in it or not."""
        if self._folder is None:
            yield from _read(self.values, self.values[_USED])
            return
        for path in self._folder.glob(f"{self._run}.*{_ENDING}"):
            content = _read_used(path)
            yield from _read(content, len(content))

    def close(self) -> None:
        """Let go of the memory. The file stays, with what was counted."""
        self.values.release()
        self._memory.close()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _make_room(self, words: int) -> None:
        """See to it that so many words can be written. Raises OSError when the disk is full, or the file."""
        missing = words * _WORD - self._room
        if missing <= 0:
            return
        more = -(-missing // _STEP) * _STEP
        if self._descriptor is None or self._room + more > _CAPACITY:
            raise OSError("no room for more counts")
        _allocate(self._descriptor, self._room, more)
        self._room += more


def open_counts(folder: Path | None, run: str) -> Counts:
    """The counts of this process.

    Args:
        folder: where the workers of this machine have their files; None when there is one process only.
        run: a name that the workers of one gateway have in common, and no other gateway ever had; without a dot.
    """
    if folder is not None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_earlier_runs(folder, run)
            return _open_file(folder, run)
        except OSError as error:
            _log.warning("metrics are those of one worker only, because %s cannot be written: %s", folder, error)
    counts = Counts(mmap.mmap(-1, _CAPACITY), None, None, run)
    counts.begin()
    return counts


def _open_file(folder: Path, run: str) -> Counts:
    """A dead worker's file of this run, else a new one. Raises OSError."""
    for path in sorted(folder.glob(f"{run}.*{_ENDING}")):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        if _lock(descriptor):
            return _map(descriptor, folder, run)
        os.close(descriptor)
    path = folder / f"{run}.{os.getpid()}-{os.urandom(4).hex()}{_ENDING}"
    made = path.with_suffix(".new")  # nobody takes it for a dead worker's before it is locked
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    _lock(descriptor)
    counts = _map(descriptor, folder, run)
    made.rename(path)
    return counts


def _map(descriptor: int, folder: Path, run: str) -> Counts:
    os.ftruncate(descriptor, _CAPACITY)
    counts = Counts(mmap.mmap(descriptor, _CAPACITY), descriptor, folder, run)
    counts.begin()
    return counts


def _remove_earlier_runs(folder: Path, run: str) -> None:
    """Remove the files of runs of which nobody lives any more."""
    runs: dict[str, list[Path]] = {}
    for path in folder.glob(f"*{_ENDING}"):
        runs.setdefault(path.name.partition(".")[0], []).append(path)
    runs.pop(run, None)
    for paths in runs.values():
        with contextlib.ExitStack() as opened:
            if all(_is_dead(path, opened) for path in paths):
                for path in paths:
                    path.unlink(missing_ok=True)


def _is_dead(path: Path, opened: contextlib.ExitStack) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    opened.callback(os.close, descriptor)
    return _lock(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read_used(path: Path) -> memoryview:
    """The integers of a file that are in use."""
    with path.open("rb") as file:
        head = memoryview(file.read(_HEAD * _WORD)).cast("q")
        used = head[_USED] if len(head) == _HEAD and head[0] == _MARK else 0
        file.seek(0)
        return memoryview(file.read(used * _WORD)).cast("q")


def _read(values: memoryview, used: int) -> Iterator[Row]:
    for table, labels, place, width in _walk(values, used):
        yield table, labels, values[place : place + width].tolist()


def _walk(values: memoryview, used: int) -> Iterator[tuple[int, Labels, int, int]]:
    """The table, the labels, the place of the first value and the number of values of every row."""
    at = _HEAD
    while at < used:
        table, width = divmod(values[at], 1 << 32)
        length = values[at + 1]
        words = -(-length // _WORD)
        name = values[at + 2 : at + 2 + words].tobytes()[:length]
        at += 2 + words + width
        yield table, _decode_labels(name), at - width, width


def _allocate(descriptor: int, start: int, size: int) -> None:
    """Have the disk keep room; writing to mapped memory that has none would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, size)
    else:  # an adopted file has its counts there already
        content = os.pread(descriptor, size, start)
        os.pwrite(descriptor, content.ljust(size, b"\0"), start)
