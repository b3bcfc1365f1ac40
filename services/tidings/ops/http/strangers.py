"""Origins that are refused, said once each: a page cannot read why, so whoever runs the service is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from tidings.ops.printable import plain

MAX_TOLD: Final = 64
"""Origins that are remembered."""
TOLD_SECONDS: Final = 3_600.0
"""How long an origin keeps its place when there are more: anybody may send any Origin."""

_log = structlog.get_logger()


class Strangers:
    """Tells of each origin once, with what would allow it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}
        """When each was told of, the first one first."""
        self._more = False

    def refused(self, origin: str) -> None:
        """A page of this origin was refused."""
        if origin in self._told:
            return
        now = self._clock()
        if len(self._told) >= MAX_TOLD:
            oldest = next(iter(self._told))
            if now - self._told[oldest] < TOLD_SECONDS:
                if not self._more:
                    self._more = True
                    _log.warning("more origins were refused than the log names", named=MAX_TOLD)
                return
            del self._told[oldest]
            self._more = False
        self._told[origin] = now
        shown = plain(origin)
        allow = "not possible: a sandboxed page and a page from a file have no origin"
        if origin != "null":
            allow = f"--allow-origin {shown} (TIDINGS_ALLOW_ORIGIN)"
        _log.warning("origin refused", origin=shown, allow=allow)
