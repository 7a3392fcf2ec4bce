"""What a group of processes costs, as the kernel counts it: see proc(5) and clock_getcpuclockid(3). Linux only."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_SAMPLE_SECONDS = 0.25


class ProcessGroup:
    """A process and all that share its process group, or its session where it leads one."""

    def __init__(self, pid: int) -> None:
        self.id = os.getpgid(pid)

    def cpu_seconds(self) -> float:
        """User and system time so far. Children that have ended count too, to a hundredth of a second."""
        seconds = 0.0
        for process, fields in self._members():
            try:
                seconds += time.clock_gettime(_cpu_clock(int(process.name)))
            except OSError:
                continue  # it ended meanwhile, and is now one of its parent's
            # cutime and cstime: the fields 16 and 17, of which the first two are cut off.
            seconds += (int(fields[13]) + int(fields[14])) / _TICKS_PER_SECOND
        return seconds

    def resident_mb(self) -> float:
        """Resident memory now, in MB (10^6 bytes). Pages that processes share are counted for each."""
        return self._memory("VmRSS:")

    def peak_mb(self) -> float:
        """The sum of each process's highest resident memory, in MB."""
        return self._memory("VmHWM:")

    @contextmanager
    def watch_largest(self) -> Iterator[list[float]]:
        """For the length of a `with`, note again and again how much memory the largest process has, in MB."""
        samples = [self._largest_mb()]
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_SAMPLE_SECONDS):
                samples.append(self._largest_mb())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield samples
        finally:
            ended.set()
            watcher.join()

    def _largest_mb(self) -> float:
        return max(self._memories("VmRSS:"), default=0.0)

    def _memory(self, name: str) -> float:
        return sum(self._memories(name))

    def _memories(self, name: str) -> Iterator[float]:
        for process, _ in self._members():
            try:
                status = (process / "status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            yield sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) * 1024 / 1e6

    def _members(self) -> Iterator[tuple[Path, list[str]]]:
        """The folder in /proc and the fields of `stat`, from the third on, of each member that is alive."""
        for process in _PROC.iterdir():
            if not process.name.isdecimal():
                continue
            try:
                stat = (process / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            # The second field is the name, which may hold spaces and parentheses.
            fields = stat.rpartition(")")[2].split()
            group, session = int(fields[2]), int(fields[3])
            if self.id in (group, session):
                yield process, fields


def _cpu_clock(pid: int) -> int:
    """The clock of a process's user and system time: the sum of its fields in `stat`, but in nanoseconds.

    Python has no clock_getcpuclockid; this is what it computes on Linux (include/linux/posix-timers.h).
    """
    return (~pid << 3) | 2
