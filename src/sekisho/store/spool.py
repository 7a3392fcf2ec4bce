"""Usage on its way to the database, in a file of this worker's own that outlives its process.

A record is written before a request leaves for an upstream (`sent`: the row to book if nothing more is ever heard) and
when a call is over (`done`: its row). Writing without waiting for the disk is enough against the death of the process:
what was written belongs to the operating system. The disk is told in the background (`sync`), so a loss of power costs
what was written since.

A file is `<worker>.<number>.spool`, locked as long as its process lives; whoever gets the locks of all of a worker's
files knows that worker to be dead and may read them (`read_dead`). The folder must be on a disk of this machine. A
frame is a length (u32), a CRC-32 (u32) and MessagePack; the last is followed by a length of 0, since a file that is no
longer needed is used again, and reading stops there or at the first frame that is not whole. Space is reserved ahead,
so that what was begun can always be ended: a full disk is found out by new calls, which are refused.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct

from sekisho.core.errors import StoreUnavailable
from sekisho.store.records import UsageRow

_HEAD: Final = struct.Struct("<II")
_END: Final = bytes(_HEAD.size)
"""Stands behind the last frame, and is overwritten by the next one."""
_CHUNK: Final = 1024 * 1024
_GROWTH: Final = 1024
"""How much longer the end of a call may be than its beginning: a session, tags and an error come to be known."""
_ROTATE: Final = 4 * 1024 * 1024
_REUSED: Final = 2 * _ROTATE
"""A file that has grown beyond it, as in an outage of the database, gives its room back to the disk."""


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """A usage row, and the accounts of money that it is booked on: whether each is leased by the worker."""

    row: UsageRow
    booked: Mapping[str, bool]
    done: bool


_pack_head = _HEAD.pack
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class Spool:
    """This worker's file. All methods are quick and block. Making one raises StoreUnavailable when it cannot write."""

    def __init__(self, folder: Path, worker: str) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"The usage spool {folder} cannot be made: {error.strerror}.") from error
        self._folder = folder
        self._worker = worker
        self._number = 1
        self._open: dict[str, bytes] = {}
        self._owed = 0
        self._file = _File(folder, worker, 1)
        self._old: _File | None = None
        self._spare: _File | None = None

    def sent(self, row: UsageRow, booked: Mapping[str, bool]) -> None:
        """Write down a call before its request leaves; again if it goes on to another upstream.

        Raises:
            StoreUnavailable: the disk is full.
        """
        frame = _frame(Entry(row, booked, False))
        room = len(frame) + _GROWTH
        self._file.append(frame, self._owed + room)
        self._owed += room
        if (before := self._open.get(row.id)) is not None:
            self._owed -= len(before) + _GROWTH
        self._open[row.id] = frame

    def done(self, row: UsageRow, booked: Mapping[str, bool]) -> int:
        """Write down the end of a call; returns its place in the file.

        Raises:
            StoreUnavailable: the disk is full; only for a call that was never `sent`, which has no room reserved.
        """
        if (begun := self._open.pop(row.id, None)) is not None:
            self._owed -= len(begun) + _GROWTH
        return self._file.append(_frame(Entry(row, booked, True)), self._owed)

    def read_done(self, position: int, limit: int) -> tuple[list[Entry], int]:
        """The ends of calls in this file from `position` on, `limit` of them at most, and where to go on."""
        entries: list[Entry] = []
        for place, entry in _read(self._file.path, position):
            if len(entries) == limit:
                return entries, place
            if entry.done:
                entries.append(entry)
        return entries, self._file.size

    def rotate(self) -> bool:
        """Begin a new file, with the calls under way, if this one has grown and none is there from the last time.

        The old one stays until `forget_old`, as calls that ended in it may not be in the database yet.
        """
        if self._file.size < _ROTATE or self._old is not None:
            return False
        try:
            new = self._spare or _File(self._folder, self._worker, self._number + 1)
        except StoreUnavailable:
            return False
        self._spare = None
        try:
            for frame in self._open.values():
                new.append(frame, self._owed)
        except StoreUnavailable:
            new.close(keep=False)
            return False
        self._old, self._file, self._number = self._file, new, self._number + 1
        return True

    def forget_old(self) -> None:
        """Every call that ended before the last `rotate` is in the database: the file from then is the next one.

        To write where the disk and the memory have room already is cheaper than to remove it and begin another.
        """
        old, self._old = self._old, None
        if old is not None and old.empty(self._number + 1):
            self._spare = old

    def sync(self) -> None:
        """Make what is written survive a loss of power. May take long; meant for a thread."""
        for file in (self._old, self._file):
            if file is not None:
                file.sync()

    def close(self, *, keep: bool) -> None:
        """Let go of the files, and remove them unless something in them is still needed."""
        if self._old is not None:
            self._old.close(keep=keep)
        if self._spare is not None:
            self._spare.close(keep=False)
        self._file.close(keep=keep or bool(self._open))


class _File:
    """One file, open and locked."""

    def __init__(self, folder: Path, worker: str, number: int) -> None:
        self.path = folder / f"{worker}.{number}.spool"
        self.size = 0
        self._reserved = 0
        made = self.path.with_suffix(".new")  # nobody takes it for a dead worker's before it is locked
        try:
            self._descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made.rename(self.path)
        except OSError as error:
            raise StoreUnavailable(f"The usage spool {folder} cannot be written: {error.strerror}.") from error

    def append(self, frame: bytes, owed: int) -> int:
        """Write a frame where `owed` more bytes find room behind it; returns its place. It ends with `_END`.

        Raises:
            StoreUnavailable: there is no room; it is as if nothing had been written.
        """
        place = self.size
        size = len(frame)
        end = place + size
        try:
            if end + owed > self._reserved:
                self._reserve(end + owed)
            written = os.pwrite(self._descriptor, frame, place)
        except OSError as error:
            raise _full(error) from error
        if written < size:
            raise _full(OSError(0, "no space left"))
        self.size = end - _HEAD.size
        return place

    def empty(self, number: int) -> bool:
        """Forget what is in it and go on under another number; returns whether that could be done, or it is removed."""
        path = self.path.with_name(f"{_worker_of(self.path)}.{number}.spool")
        if self._reserved > _REUSED:
            self.close(keep=False)
            return False
        try:
            os.pwrite(self._descriptor, _END, 0)
            self.path.rename(path)
        except OSError:
            self.close(keep=False)
            return False
        self.path, self.size = path, 0
        return True

    def _reserve(self, size: int) -> None:
        more = -(-(size - self._reserved) // _CHUNK) * _CHUNK
        _allocate(self._descriptor, self._reserved, more)
        self._reserved += more

    def sync(self) -> None:
        """Tell the disk."""
        with contextlib.suppress(OSError):  # the file may have been closed meanwhile
            getattr(os, "fdatasync", os.fsync)(self._descriptor)

    def close(self, *, keep: bool) -> None:
        """Remove the file before its lock goes, so that nobody takes it for a dead worker's."""
        if not keep:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def read_dead(folder: Path) -> Iterator[tuple[str, Iterator[Entry]]]:
    """For each dead worker of this folder, its name and what it left to be booked; its files go when the loop goes on.

    A call whose end it did not write down comes last, as it was sent. Two processes never read the same file at once.
    """
    for worker in sorted({_worker_of(path) for path in folder.glob("*.spool")}):
        with contextlib.ExitStack() as locks:
            paths = _lock_all(folder, worker, locks)
            if paths:
                yield worker, _merge(paths)
                for path in paths:
                    path.unlink(missing_ok=True)


def is_alive(folder: Path, worker: str) -> bool:
    """Whether a living process has this worker's spool in `folder`."""
    with contextlib.ExitStack() as locks:
        return bool(_files_of(folder, worker)) and not _lock_all(folder, worker, locks)


def _files_of(folder: Path, worker: str) -> list[Path]:
    """A worker's files, the oldest first."""
    files = [path for path in folder.glob("*.spool") if _worker_of(path) == worker]
    return sorted(files, key=lambda path: int(path.name.rsplit(".", 2)[1]))


def _worker_of(path: Path) -> str:
    return path.name.rsplit(".", 2)[0]


def _lock_all(folder: Path, worker: str, locks: contextlib.ExitStack) -> list[Path]:
    """Lock all files of a dead worker; none when somebody has one of them."""
    paths: list[Path] = []
    for path in _files_of(folder, worker):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        locks.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return []
        if _is_still(path, descriptor):
            paths.append(path)
    return paths


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file was not removed between its opening and its locking."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _merge(paths: list[Path]) -> Iterator[Entry]:
    """Each call once: those that ended, as they come, and then the others as they were sent last."""
    begun: dict[str, Entry] = {}
    for path in paths:
        for _, entry in _read(path, 0):
            if entry.done:
                begun.pop(entry.row.id, None)
                yield entry
            else:
                begun[entry.row.id] = entry
    yield from begun.values()


def _read(path: Path, position: int) -> Iterator[tuple[int, Entry]]:
    """The whole frames of a file from `position` on, each with its place."""
    with path.open("rb") as file:
        file.seek(position)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            body = file.read(length)
            if not body or len(body) < length or crc32(body) != checksum:
                return
            yield position, _decode(body)
            position += _HEAD.size + length


def _frame(entry: Entry) -> bytes:
    body = _encode(entry)
    return _pack_head(len(body), crc32(body)) + body + _END


def _allocate(descriptor: int, start: int, size: int) -> None:
    """Reserve room on the disk; where the system cannot do that, by writing zeros."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, size)
    else:
        os.pwrite(descriptor, bytes(size), start)


def _full(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"The usage of calls cannot be written down ({error.strerror}), so no new call is served.")
