"""Publishes that the broker has not answered yet: each ends once, by its answer, its deadline, or with its channel."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import takewhile


class Unconfirmed:
    """Publishes by tag, 1 being the first. One that has no answer after `seconds` fails with TimeoutError.

    One timer sees to all of them, as they come to their deadlines in the order of their tags.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[int, tuple[float, asyncio.Future[None]]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, tag: int) -> asyncio.Future[None]:
        """Wait for the answer to a publish; the future has it."""
        until = self._loop.time() + self._seconds
        done = self._loop.create_future()
        self._waiting[tag] = until, done
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._expire)
        return done

    def answered(self, tag: int, error: Exception | None = None, *, multiple: bool = False) -> None:
        """The broker has a publish, or does not take it; `multiple`: and so all before it that wait."""
        tags = list(takewhile(lambda each: each <= tag, self._waiting)) if multiple else (tag,)
        for each in tags:
            _, done = self._waiting.pop(each, (0.0, None))
            # One that came back is confirmed as well, and who has waited may have gone.
            if done is None or done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def give_up(self, error: Exception) -> None:
        """Have all that wait fail now."""
        if self._waiting:
            self.answered(next(reversed(self._waiting)), error, multiple=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting:
            tag, (until, _) = next(iter(self._waiting.items()))
            if until > now:
                self._timer = self._loop.call_at(until, self._expire)
                return
            self.answered(tag, TimeoutError())
