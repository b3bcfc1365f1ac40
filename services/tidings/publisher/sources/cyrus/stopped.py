"""A process that SIGSTOP does not stop for long.

Whoever sends a notification waits for who owns the socket: at once over a connection, and after ten datagrams
(net.unix.max_dgram_qlen), without any time limit. A process that is stopped would stop every delivery of the mail
server with it. SIGSTOP cannot be caught, but a SIGCONT wakes whoever is stopped (signal(7)), and the kernel can be
asked for one in two ways, both of which go on while the process is stopped: when something comes to a socket (F_SETSIG
of fcntl(2)), and after some time (timer_create(2)), for who waits already when the process is stopped.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import time
from typing import Final, Self

WAKE_SECONDS: Final = 0.025
_SIGEV_SIGNAL: Final = 0


class _Sigevent(ctypes.Structure):
    """`struct sigevent` of sigevent(7)."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("first_seconds", ctypes.c_long),
        ("first_nanoseconds", ctypes.c_long),
    )


def wake_for(sock: socket.socket) -> None:
    """Have this process woken by whatever comes to a socket."""
    fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sock, fcntl.F_SETSIG, signal.SIGCONT)
    fcntl.fcntl(sock, fcntl.F_SETFL, fcntl.fcntl(sock, fcntl.F_GETFL) | os.O_ASYNC)


class Waker:
    """Has this process woken WAKE_SECONDS after it is stopped, or twice that, for as long as a `with` block.

    A SIGSTOP removes a SIGCONT that is under way, and the timer that has sent it rests until somebody has got it. So
    there is a second timer, later than the first one, that only ever sends one when the first one does not; and
    whatever wakes the process has both begin again.
    """

    def __init__(self) -> None:
        """Begin. From the main thread. Raises OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        # A handler, though there is no need of it here: Linux 6.13 and later let timers rest whose signal is ignored.
        signal.signal(signal.SIGCONT, lambda *_: self._begin_again())
        self._timers = (self._timer(), self._timer())
        self._begin_again()

    def _timer(self) -> ctypes.c_void_p:
        timer = ctypes.c_void_p()
        event = _Sigevent(signo=signal.SIGCONT, notify=_SIGEV_SIGNAL)
        self._check(self._libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)))
        return timer

    def _begin_again(self) -> None:
        for times, timer in enumerate(self._timers, 1):
            every = _Itimerspec(*divmod(int(times * WAKE_SECONDS * 1e9), 10**9) * 2)
            self._check(self._libc.timer_settime(timer, 0, ctypes.byref(every), None))

    def _check(self, failed: int) -> None:
        if failed:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            self._libc.timer_delete(timer)
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
