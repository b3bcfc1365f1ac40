"""When the event loop did not run, and what kept it: a beat in the loop, and a thread that misses it.

The thread looks when the next beat would be 50 ms late, and while the beat is late every 50 ms. What blocks the loop
for 100 ms is always seen, and what blocks it for 50 to 100 ms sometimes. More beats would cost an idle process more.
Each time the thread adds the time since it last looked to the stack that the loop's thread has at that moment, so a
stall shows while it lasts, and one of several parts by its parts. What holds the GIL is seen as soon as it lets go,
which is in the function that called it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from asyncio_pprof.pprof.profile import Stack
from asyncio_pprof.pprof.stacks import frames_of
from asyncio_pprof.pprof.tally import Tally

BEAT_SECONDS: Final = 0.05
STALL_NANOSECONDS: Final = 50_000_000
"""Beats that are less late are no stall."""


class StallWatch:
    """Stalls of one loop, since the process started: how many, and for how many nanoseconds, by stack."""

    def __init__(self) -> None:
        self.stalls = Tally()
        self._due = 0
        self._ended = threading.Event()

    @contextmanager
    def watching(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Watch the loop that runs in this thread, inside of this."""
        self._ended.clear()
        timer: asyncio.TimerHandle | None = None

        def beat() -> None:
            nonlocal timer
            timer = loop.call_later(BEAT_SECONDS, beat)
            self._due = time.monotonic_ns() + int(BEAT_SECONDS * 1e9)

        beat()
        thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="pprof-stalls", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            if timer is not None:
                timer.cancel()

    def _watch(self, watched: int) -> None:
        stalled: tuple[int, int, Stack] | None = None
        pause = BEAT_SECONDS
        while not self._ended.wait(pause):
            due, now = self._due, time.monotonic_ns()
            if stalled is not None and stalled[0] != due:
                # Over: the beat came, some time after we last looked.
                beaten = due - int(BEAT_SECONDS * 1e9)
                self.stalls.add(stalled[2], 0, max(0, beaten - stalled[1]))
                stalled = None
            pause = (due + STALL_NANOSECONDS - now) / 1e9
            if pause <= 0:
                stack = self.stalls.stack(frames_of(watched))
                self.stalls.add(stack, int(stalled is None), now - (due if stalled is None else stalled[1]))
                stalled = (due, now, stack)
                pause = BEAT_SECONDS
