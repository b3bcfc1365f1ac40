"""Signals after so much CPU time of single threads: timer_create(2), which Python does not have, through ctypes.

`setitimer(ITIMER_PROF)` has one timer for all threads together. While there is one, the kernel adds up their time
at each switch between them, which makes a push cost an eighth more, signals or not.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from typing import Final

_SIGEV_THREAD_ID: Final = 4
_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Sigevent(ctypes.Structure):
    """`struct sigevent` of sigevent(7)."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_char * 44),
    )


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("first_seconds", ctypes.c_long),
        ("first_nanoseconds", ctypes.c_long),
    )


def clock_of(thread: int) -> int:
    """The number of the clock of a thread's CPU time, by the kernel's id of the thread (posix-timers.h).

    `time.pthread_getcpuclockid` crashes for a thread that has just ended; this clock is then one that does not exist.
    """
    return ~thread << 3 | 6


class ThreadTimers:
    """Has the main thread get a signal whenever one of the threads has used so much CPU time again."""

    def __init__(self, signal: int, nanoseconds: int) -> None:
        self._signal = signal
        self._nanoseconds = nanoseconds
        self._timers: dict[int, ctypes.c_void_p] = {}
        self._ended = False
        self._lock = threading.Lock()

    def watch(self) -> None:
        """Begin with every thread that there is by now, those too that Python does not know; not after the end.

        Where no descriptor is free, new threads are found later: in the handler of a signal, an error would come out of
        any line of the program.
        """
        # In the handler of a signal, which may have come just when this thread ends them.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._ended:
                with suppress(OSError):
                    for thread in {int(name) for name in os.listdir("/proc/self/task")} - self._timers.keys():
                        self._begin(thread)
        finally:
            self._lock.release()

    def _begin(self, thread: int) -> None:
        event = _Sigevent(signo=self._signal, notify=_SIGEV_THREAD_ID, thread=threading.main_thread().native_id or 0)
        timer = ctypes.c_void_p()
        if _libc.timer_create(clock_of(thread), ctypes.byref(event), ctypes.byref(timer)):
            # The thread has just ended, or there are more timers than one may have: then it has no samples of its own.
            return
        self._timers[thread] = timer
        every = _Itimerspec(*divmod(self._nanoseconds, 10**9) * 2)
        _libc.timer_settime(timer, 0, ctypes.byref(every), None)

    def end(self) -> None:
        """No signals any more, but for one that may be under way."""
        with self._lock:
            self._ended = True
            for timer in self._timers.values():
                _libc.timer_delete(timer)
            self._timers.clear()
