"""Where CPU time goes: SIGPROF after every 10 ms of a thread's, as in C programs.

Python runs the handler in the main thread, between two of its instructions: exact for the main thread, whose
interrupted frame it is given, while a thread that asks for others' stacks only ever sees them where they let go of the
GIL, at system calls. For the other threads that is what there is.
Each sample weighs the CPU time that its thread has used since the last one, so that late signals lose nothing.
"""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

from asyncio_pprof.pprof.cputimers import ThreadTimers, clock_of
from asyncio_pprof.pprof.profile import CPU, PERIOD_NANOSECONDS, Profile
from asyncio_pprof.pprof.stacks import frames_of, outward
from asyncio_pprof.pprof.sums import Sums

WORTH_ASKING: Final = PERIOD_NANOSECONDS // 10
"""CPU time of other threads than the main one for which they are all asked, in nanoseconds."""


class InUse(Exception):  # noqa: N818 - as Go words it
    """A profile of this kind is being taken."""


class CpuSampler:
    """Takes one profile at a time. It costs nothing while it takes none."""

    def __init__(self) -> None:
        self._taking: _Taking | None = None
        self._installed = False

    def install(self) -> None:
        """Set the signal handler, which only the main thread can."""
        signal.signal(signal.SIGPROF, self._sample)
        # Python takes the handler away before it ends, and the signal without one would end the process.
        atexit.register(self._end)
        self._installed = True

    def start(self) -> None:
        """Begin. Raises InUse while another profile is taken, or where no handler was set."""
        if self._taking is not None:
            raise InUse("cpu profiling already in use")
        if not self._installed:
            # Without a handler the signal would end the process.
            raise InUse("there is no handler for SIGPROF")
        self._taking = _Taking()
        self._taking.timers.watch()

    def stop(self) -> Profile:
        """End what `start` began, and say what was found."""
        taking, self._taking = self._taking, None
        if taking is None:
            raise InUse("cpu profiling has not begun")
        taking.timers.end()
        return taking.profile()

    def _end(self) -> None:
        if self._taking is not None:
            self.stop()

    def _sample(self, _: int, frame: FrameType | None) -> None:
        # A last signal may come after the end.
        if self._taking is not None:
            self._taking.sample(frame)


class _Taking:
    def __init__(self) -> None:
        self._began, self._began_wall = time.monotonic_ns(), time.time_ns()
        self._sums = Sums()
        self._main = threading.main_thread()
        self._used = {thread: _cpu_time(thread) for thread in threading.enumerate()}
        self._process = time.process_time_ns()
        self.timers = ThreadTimers(signal.SIGPROF, PERIOD_NANOSECONDS)

    def sample(self, frame: FrameType | None) -> None:
        """In the signal handler, so in the main thread."""
        process = time.process_time_ns()
        others = process - self._process - self._add(self._main, outward(frame))
        if others < WORTH_ASKING:
            # As nearly always. What little it is, the next sample has more of.
            self._process = process - max(0, others)
            return
        self._process = process
        self.timers.watch()
        for thread in threading.enumerate():
            if thread is not self._main and thread.ident is not None:
                others -= self._add(thread, frames_of(thread.ident))
        if others > 0:
            self._sums.add((), "", others)

    def _add(self, thread: threading.Thread, frames: Sequence[FrameType]) -> int:
        now = _cpu_time(thread)
        used = now - self._used.get(thread, 0)
        if used > 0:
            self._used[thread] = now
            self._sums.add(frames, thread.name, used)
        return max(0, used)

    def profile(self) -> Profile:
        """What was found."""
        return Profile(CPU, self._sums.samples(), self._began_wall, time.monotonic_ns() - self._began)


def _cpu_time(thread: threading.Thread) -> int:
    """CPU time of a thread in nanoseconds; 0 when it is gone."""
    if thread.native_id is None:
        return 0
    try:
        return time.clock_gettime_ns(clock_of(thread.native_id))
    except OSError:
        return 0
