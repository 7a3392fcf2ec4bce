"""The C library's heaps, counted in a process of its own."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="only glibc has several heaps")

COUNT = """
import ctypes, sys, threading
from sekisho.cli.allocating import keep_one_heap
if sys.argv[1] == "one":
    keep_one_heap()
kept = []
threads = [threading.Thread(target=lambda: kept.append(bytes(10_000))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.parametrize(("heaps", "expected"), [("one", True), ("many", False)])
def test_threads_keep_one_heap_where_they_would_have_several(tmp_path: Path, heaps: str, expected: bool) -> None:
    report = tmp_path / "report.xml"
    subprocess.run([sys.executable, "-c", COUNT, heaps, str(report)], check=True)
    assert (report.read_text().count("<heap nr=") == 1) is expected


BODIES = """
import resource, sys
from sekisho.cli.allocating import keep_one_heap
if sys.argv[1] == "kept":
    keep_one_heap()
for _ in range(300):
    bodies = [bytes(100_000) for _ in range(8)]
    bodies.clear()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def test_what_bodies_have_left_is_used_again() -> None:
    def count(memory: str) -> int:
        run = subprocess.run([sys.executable, "-c", BODIES, memory], check=True, capture_output=True)
        return int(run.stdout)

    assert count("given back") > 3 * count("kept")


HOLES = """
import sys
from pathlib import Path
from sekisho.cli.allocating import give_back, keep_one_heap
keep_one_heap()
kept = []
for _ in range(100):
    bodies = [bytes(100_000) for _ in range(8)]
    kept.append([bytes(2_000) for _ in range(8)])  # lie between them
    bodies.clear()
del kept[::2]
def count_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
before = count_pages()
give_back()
print(before - count_pages())
"""


def test_pages_that_nothing_lies_on_are_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", HOLES], check=True, capture_output=True)
    assert int(run.stdout) > 50
