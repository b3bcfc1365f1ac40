"""What supervisor, workers and admin process know of each other: a table in shared memory, not messages.

Every field has one writer, and a reader that comes between two writes is wrong for a moment only. A worker that is
stuck, stopped or slow cannot keep anybody from reading how long it has been so.
"""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable
from typing import Final

from tidings.ops.health import STUCK_SECONDS, Health

FAULT_BYTES: Final = 1024


class Seat(ctypes.Structure):
    """One process. Times are monotonic seconds, which all processes of a machine share."""

    pid: int
    """0 while it does not run. Written by the supervisor, like `restarts`."""
    restarts: int
    beat: float
    """When its main loop last ran. Written by the process, like what follows."""
    started: bool
    """Whether it, or one before it in this seat, has come to serve."""
    fault: bytes
    """What the operator has to change, when it ended for that."""

    _fields_ = (
        ("pid", ctypes.c_int64),
        ("restarts", ctypes.c_int64),
        ("beat", ctypes.c_double),
        ("started", ctypes.c_bool),
        ("fault", ctypes.c_char * FAULT_BYTES),
    )


class Board:
    """A seat per worker, numbered from 1, one for the supervisor and one for the admin process."""

    def __init__(self, workers: int) -> None:
        seats = (Seat * (workers + 2)).from_buffer(mmap.mmap(-1, ctypes.sizeof(Seat) * (workers + 2)))
        self.supervisor = seats[0]
        self.admin = seats[workers + 1]
        self.workers = {number: seats[number] for number in range(1, workers + 1)}

    def stuck(self, now: float) -> list[str]:
        """Which processes have not beaten for 30 s though they run."""
        seats = {"supervisor": self.supervisor, **{f"worker {number}": seat for number, seat in self.workers.items()}}
        return [name for name, seat in seats.items() if seat.pid and now - seat.beat >= STUCK_SECONDS]


class SharedHealth(Health):
    """Health whose beat other processes see."""

    def __init__(self, seat: Seat, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._seat = seat

    def beat(self) -> None:
        super().beat()
        self._seat.beat = time.monotonic()
