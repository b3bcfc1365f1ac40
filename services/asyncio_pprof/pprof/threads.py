"""Which code started threads, since the process began."""

from __future__ import annotations

import functools
import sys
import threading

from asyncio_pprof.pprof.stacks import outward
from asyncio_pprof.pprof.tally import Tally


class ThreadStarts:
    """Threads that were started, by the stack that did it."""

    def __init__(self) -> None:
        self.tally = Tally()

    def install(self) -> None:
        """Count from now on, for the rest of the process. Threads are started rarely, so it costs nothing."""
        start = threading.Thread.start

        @functools.wraps(start)
        def counted(thread: threading.Thread) -> None:
            self.tally.add(self.tally.stack(outward(sys._getframe(1))), 1)  # noqa: SLF001 - documented
            start(thread)

        threading.Thread.start = counted  # type: ignore[method-assign,assignment]
