"""PUT /v1/dovecot: deliveries, as Dovecot's push notification driver "ox" tells of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from tidings.publisher.ingest.routes import Route
from tidings.wire import dovecot
from tidings.wire.change import Change

PATH: Final = "/v1/dovecot"
MAX_REMEMBERED: Final = 10_000
"""Deliveries within the few seconds in which Dovecot may tell of one again."""


class Deliveries:
    """Knows which deliveries were taken lately: Dovecot repeats one whose answer it did not get."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._most = most
        self._taken: OrderedDict[str, None] = OrderedDict()
        # Of a 500 it never comes again, of a 503 it does.
        self.route = Route("PUT", PATH, self._parse, "user", taken=self._remember, fault=503)

    def _parse(self, headers: Iterable[tuple[str, str]], body: bytes, ingested: float) -> list[Change]:
        return [change for change in dovecot.parse(headers, body, ingested) if change.id not in self._taken]

    def _remember(self, changes: Sequence[Change]) -> None:
        self._taken.update((change.id, None) for change in changes)
        while len(self._taken) > self._most:
            self._taken.popitem(last=False)
