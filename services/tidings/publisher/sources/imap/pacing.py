"""When to try again, and how much a server may say. Pure."""

from __future__ import annotations

from typing import Final

from tidings.errors import ImapError

DELAYS: Final = {
    "away": (0.5, 30.0),
    "limit": (5.0, 120.0),
    "login": (10.0, 300.0),
    "protocol": (5.0, 300.0),
    "unfit": (10.0, 300.0),
}
"""Seconds before the second attempt and the most before any, by the reason. A login that is refused again and again
locks accounts, and a server that is full gets fuller.
"""
MAX_RESPONSES: Final = 50_000
RESPONSES_PER_SECOND: Final = 500.0


def delay(reason: str, failures: int, random: float) -> float:
    """Seconds to wait after so many failures for this reason; `random` is from 0 to 1."""
    first, most = DELAYS[reason]
    ceiling: float = min(most, first * 2 ** min(failures - 1, 16))
    return ceiling * (0.5 + random / 2)


class Slots:
    """Turns, so many a second."""

    def __init__(self, per_second: float) -> None:
        self._pause = 1.0 / per_second
        self._next = 0.0

    def take(self, now: float) -> float:
        """Seconds to wait for the next turn, which is taken."""
        turn = max(now, self._next)
        self._next = turn + self._pause
        return turn - now


class Allowance:
    """What a server may say: many responses at once, as to a question for all mailboxes, but not for long."""

    def __init__(self, most: float = MAX_RESPONSES, per_second: float = RESPONSES_PER_SECOND) -> None:
        self._most = most
        self._per_second = per_second
        self._left = most
        self._since: float | None = None

    def give(self, responses: float) -> None:
        """So many more were asked for."""
        self._left += responses

    def spend(self, now: float) -> None:
        """A response has come. Raises ImapError (protocol) when it is one too many."""
        since = now if self._since is None else self._since
        if self._left < self._most:
            self._left = min(self._most, self._left + (now - since) * self._per_second)
        self._since = now
        if self._left < 1:
            rate = f"over {self._most:g} responses, and {self._per_second:g} a second"
            raise ImapError("protocol", f"the server floods: {rate}")
        self._left -= 1
