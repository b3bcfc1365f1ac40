"""Which are followed. Pure."""

from __future__ import annotations

from typing import Final

EVERY: Final = 64
SECONDS: Final = 1.0


class Sampler:
    """One in `every`; and the first after `seconds` without any, so that a quiet process shows something too."""

    __slots__ = ("_every", "_left", "_seconds", "_taken")

    def __init__(self, every: int = EVERY, seconds: float = SECONDS) -> None:
        self._every = every
        self._seconds = seconds
        self._left = 0
        self._taken = float("-inf")

    def take(self, now: float) -> bool:
        """Whether to follow this one; `now` in monotonic seconds."""
        self._left -= 1
        if self._left > 0 and now - self._taken < self._seconds:
            return False
        self._left = self._every
        self._taken = now
        return True
