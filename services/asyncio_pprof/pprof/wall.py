"""Where time passes, waiting included: every thread's stack, every 10 ms, seen from another thread."""

from __future__ import annotations

import sys
import threading
import time
from typing import Final

from asyncio_pprof.pprof.profile import PERIOD_NANOSECONDS, WALL, Profile
from asyncio_pprof.pprof.stacks import frames_of
from asyncio_pprof.pprof.sums import Sums

PERIOD_SECONDS: Final = PERIOD_NANOSECONDS / 1e9


class WallSampler:
    """Takes one profile, in a thread of its own."""

    def __init__(self) -> None:
        self._began, self._began_wall = time.monotonic_ns(), time.time_ns()
        self._sums = Sums()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pprof-wall", daemon=True)
        self._thread.start()

    def stop(self) -> Profile:
        """End, and say what was found."""
        self._ended.set()
        self._thread.join()
        return Profile(WALL, self._sums.samples(), self._began_wall, time.monotonic_ns() - self._began)

    def _run(self) -> None:
        own = threading.get_ident()
        last = self._began
        while not self._ended.wait(PERIOD_SECONDS):
            now = time.monotonic_ns()
            passed, last = now - last, now
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident in sys._current_frames():  # noqa: SLF001 - documented, for profilers
                if ident != own:
                    self._sums.add(frames_of(ident), names.get(ident, "?"), passed)
