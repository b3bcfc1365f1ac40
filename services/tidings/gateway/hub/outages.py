"""For whom the gateway hears of no changes, since the log or the way to it is away. Pure.

A feed that is well hears at least its own marker every few seconds, whatever happens in its shard. One that has heard
nothing for longer cannot tell of changes; clients that want to know are told so, and when that is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from tidings.gateway.model.connection import Connection

LOOK_SECONDS: Final = 5.0
"""How often to look."""
SILENT_SECONDS: Final = 12.0
"""After this long without a sign of the log a shard counts as silent. With the looks, and with what spreads the ends of
polls, clients know within 30 s."""


class Heard(Protocol):
    """A feed, as seen from here."""

    @property
    def silence(self) -> float:
        """For how many seconds the log has delivered nothing."""


class Outages:
    """Which shards are silent."""

    def __init__(self, feeds: Mapping[int, Heard], shards_of: Callable[[Connection], Iterable[int]]) -> None:
        self.silent: frozenset[int] = frozenset()
        self._feeds = feeds
        self._shards_of = shards_of

    def look(self) -> frozenset[int]:
        """Look which shards are silent; those that were before."""
        before = self.silent
        self.silent = frozenset(shard for shard, feed in self._feeds.items() if feed.silence > SILENT_SECONDS)
        return before

    def concern(self, connection: Connection, silent: frozenset[int] | None = None) -> bool:
        """Whether a client may miss changes for now, because of these shards or those that are silent."""
        silent = self.silent if silent is None else silent
        return bool(silent) and not silent.isdisjoint(self._shards_of(connection))
