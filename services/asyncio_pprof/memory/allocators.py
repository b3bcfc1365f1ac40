"""What Python's allocator and the C library's hold, by their own account, through ctypes.

Python tells of its small-object allocator only by printing to C's `stderr`. Redirecting descriptor 2 for that would
take log lines of other threads with it, so that the C library's variable is pointed to a stream in memory for the
length of the call: Python's own `sys.stderr` and the descriptor are not touched.
"""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from typing import Final, NamedTuple


class Held(NamedTuple):
    """Bytes that an allocator has given out, and bytes that it holds."""

    used: int
    held: int


class _MallInfo2(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33; see mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


_HELD: Final = re.compile(r"arenas \* \d+ bytes/arena\s*=\s*([\d,]+)")
_USED: Final = re.compile(r"# bytes in allocated blocks\s*=\s*([\d,]+)")
_redirecting = threading.Lock()


def parse_pymalloc(report: str) -> Held | None:
    """What `sys._debugmallocstats` prints; None for an interpreter that has another allocator."""
    used, held = _USED.search(report), _HELD.search(report)
    if used is None or held is None:
        return None
    return Held(int(used[1].replace(",", "")), int(held[1].replace(",", "")))


def pymalloc() -> Held | None:
    """Python's allocator for objects of at most 512 bytes. Holds the GIL for about 0.2 ms per GiB."""
    report = _printed_report()
    return None if report is None else parse_pymalloc(report)


def _printed_report() -> str | None:
    libc = ctypes.CDLL(None)
    try:
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        open_memstream = libc.open_memstream
    except (AttributeError, ValueError):
        return None
    open_memstream.restype = ctypes.c_void_p
    libc.fclose.argtypes = [ctypes.c_void_p]
    libc.free.argtypes = [ctypes.c_void_p]
    buffer, size = ctypes.c_void_p(), ctypes.c_size_t()
    with _redirecting:
        stream = open_memstream(ctypes.byref(buffer), ctypes.byref(size))
        if not stream:
            return None
        before = stderr.value
        stderr.value = stream
        try:
            sys._debugmallocstats()  # noqa: SLF001 - there is no other account
        finally:
            stderr.value = before
            libc.fclose(stream)
    try:
        return ctypes.string_at(buffer, size.value).decode(errors="replace")
    finally:
        libc.free(buffer)


def malloc() -> Held | None:
    """The C library's allocator: larger objects, and what libraries allocate. None where it is not glibc 2.33.

    Walks the lists of free blocks with each arena locked: 1 to 2 ms for a large process, without the GIL.
    """
    libc = ctypes.CDLL(None)
    try:
        mallinfo2 = libc.mallinfo2
    except AttributeError:
        return None
    mallinfo2.restype = _MallInfo2
    info = mallinfo2()
    return Held(info.uordblks + info.hblkhd, info.arena + info.hblkhd)


def trim() -> bool:
    """Give free pages of the C library's arenas back to the kernel; whether any could be. Without the GIL."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return False
    return bool(malloc_trim(0))
