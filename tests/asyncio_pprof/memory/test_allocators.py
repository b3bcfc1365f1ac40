from __future__ import annotations

import os
import sys
import threading

import pytest

from asyncio_pprof.memory import allocators
from asyncio_pprof.memory.allocators import Held, parse_pymalloc

REPORT = """
# arenas highwater mark            =                  123
19 arenas * 1048576 bytes/arena    =           19,922,944

# bytes in allocated blocks        =           12,834,352
# bytes in available blocks        =              336,928
"""


def test_the_report_of_pymalloc_is_read() -> None:
    assert parse_pymalloc(REPORT) == Held(12_834_352, 19_922_944)
    assert parse_pymalloc("Medium block threshold 512\n") is None


def test_objects_that_are_made_show_in_pymalloc() -> None:
    before = allocators.pymalloc()
    kept = [object() for _ in range(200_000)]
    after = allocators.pymalloc()
    assert before is not None
    assert after is not None
    assert after.used - before.used > 16 * len(kept) / 2
    assert after.held >= after.used


def test_reading_it_prints_nothing_and_loses_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            os.write(2, b"log line\n")
            sys.stderr.flush()
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            assert allocators.pymalloc() is not None
    finally:
        stop.set()
        writer.join()
    assert capfd.readouterr().err == "log line\n" * written


def test_large_blocks_show_in_malloc_and_trimming_is_possible() -> None:
    before = allocators.malloc()
    kept = bytearray(64 * 1024 * 1024)
    after = allocators.malloc()
    assert before is not None
    assert after is not None
    assert after.used - before.used >= len(kept) / 2
    assert after.held >= after.used
    assert allocators.trim() in (True, False)
