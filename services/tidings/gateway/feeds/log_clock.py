"""The log's clock, as far as it is known here.

From where "five minutes ago" is read the log's clock decides, not ours. Ours may be wrong, and may be set while this
process runs. So nothing here goes by it once the log's clock has been measured (see skew): from then on the monotonic
clock is followed, which nobody sets. Until then the log's clock is taken to show what ours did at the start.
"""

from __future__ import annotations

import time

from tidings.bus.log import FromTime


class LogClock:
    """Tells the log's time. `doubted`: a read from some time did not begin where it should have."""

    def __init__(self) -> None:
        self.doubted = False
        self._offset = time.time() - time.monotonic()

    @property
    def offset(self) -> float:
        """What the log's clock shows when the monotonic one shows 0, in Unix seconds."""
        return self._offset

    @property
    def ahead(self) -> float:
        """By how many seconds our clock is ahead of the log's; negative where it is behind."""
        return time.time() - self.now()

    def now(self) -> float:
        """What the log's clock shows, in Unix seconds."""
        return time.monotonic() + self._offset

    def before(self, seconds: float) -> FromTime:
        """Where to read from for what was appended in the last so many seconds."""
        return FromTime(max(0.0, self.now() - seconds))

    def set(self, shown: float, monotonic: float) -> None:
        """It showed this, in Unix seconds, when the monotonic clock showed that."""
        self._offset = shown - monotonic

    def doubt(self) -> None:
        """A read from some time did not begin where it should have: the clock may show something else."""
        self.doubted = True
