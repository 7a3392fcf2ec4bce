"""The C library's heaps, counted in a process of its own."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="only glibc has several heaps")

COUNT = """
import ctypes, sys, threading
from sekisho.cli.allocating import share_one_heap
if sys.argv[1] == "one":
    share_one_heap()
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
def test_threads_share_one_heap_where_they_would_have_several(tmp_path: Path, heaps: str, expected: bool) -> None:
    report = tmp_path / "report.xml"
    subprocess.run([sys.executable, "-c", COUNT, heaps, str(report)], check=True)
    assert (report.read_text().count("<heap nr=") == 1) is expected
