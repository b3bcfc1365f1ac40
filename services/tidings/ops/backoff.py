"""How long to wait after failures in a row: what is down is not asked all the time, nor by all at once. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

_DOUBLINGS: Final = 10


class Backoff(NamedTuple):
    """Pauses in seconds. The longest possible one doubles with each failure, from `first` to `longest`.

    A pause is never below `shortest`, nor below `share` of the longest possible one.
    """

    shortest: float
    first: float
    longest: float
    share: float = 0.5

    def pause(self, failures: int, draw: float) -> float:
        """The pause after so many failures in a row, 1 or more; `draw` in 0..1 spreads those who failed together."""
        most = min(self.longest, self.first * 2.0 ** min(failures - 1, _DOUBLINGS))
        least = max(self.shortest, most * self.share)
        return least + draw * (most - least)
