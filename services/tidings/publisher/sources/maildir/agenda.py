"""Pure: what has to be looked at, each scope once, what was touched before what is only to be checked."""

from __future__ import annotations

from typing import Final, NamedTuple

from tidings.publisher.sources.maildir.diff import Scope

MAX_ARRIVALS: Final = 1_000


class Look(NamedTuple):
    """A scope to look at. `noticed` is when it was touched, in Unix seconds, or None when it is only to be checked.

    `arrivals` are the names of files that came into `new/` if that is all that happened: they can be looked at alone,
    however large the folder is. None means everything. `written` are the unique names of messages that somebody has
    written to, each with the event that this is if the message was told of before.
    """

    scope: Scope
    noticed: float | None = None
    arrivals: frozenset[bytes] | None = None
    written: frozenset[tuple[bytes, str]] = frozenset()


class Agenda:
    """Bounded by the number of folders there are: a scope that waits already does not wait twice."""

    def __init__(self) -> None:
        self._touched: dict[Scope, Look] = {}
        self._stale: dict[Scope, Look] = {}

    def __len__(self) -> int:
        return len(self._touched) + len(self._stale)

    @property
    def checking(self) -> bool:
        """Whether scopes wait that nothing is known to have happened to."""
        return bool(self._stale)

    def add(self, look: Look) -> None:
        """Look there, too. Of two looks at one scope one is made, which covers both."""
        waiting = self._touched.pop(look.scope, None) or self._stale.pop(look.scope, None)
        if waiting is not None:
            look = _both(waiting, look)
        (self._stale if look.noticed is None else self._touched)[look.scope] = look

    def take(self, limit: int) -> list[Look]:
        """The next looks, at most `limit`."""
        taken: list[Look] = []
        for waiting in (self._touched, self._stale):
            while waiting and len(taken) < limit:
                taken.append(waiting.pop(next(iter(waiting))))
        return taken


def _both(first: Look, second: Look) -> Look:
    noticed = min((look.noticed for look in (first, second) if look.noticed is not None), default=None)
    arrivals = None
    if first.arrivals is not None and second.arrivals is not None:
        arrivals = first.arrivals | second.arrivals
        if len(arrivals) > MAX_ARRIVALS:
            arrivals = None
    # Where there are more, the first of them have the folder told of.
    written = first.written if len(first.written) >= MAX_ARRIVALS else first.written | second.written
    return Look(first.scope, noticed, arrivals, written)
