"""What may be told where: each path of the ingest port, and how a request to it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from tidings.publisher.settings import PublisherSettings
from tidings.wire import cloudevents, resyncs, stalwart
from tidings.wire.change import Change

Parse = Callable[[Iterable[tuple[str, str]], bytes, float], list[Change]]
"""The changes that a request of these headers and this body tells; the last is when it came, in Unix seconds.

Raises EventError, or RequestRejected for a signature that is not valid.
"""


class Route(NamedTuple):
    """A path. `names` is the member of an event that names its account; where it is None, nobody could mend a login
    that has none, and its changes are dropped. One that is `signed` needs no token: `parse` checks who has sent it.
    `taken` hears of changes that are safe. `fault` is the status for a fault of ours.
    """

    method: str
    path: str
    parse: Parse
    names: str | None = "subject"
    signed: bool = False
    taken: Callable[[Sequence[Change]], None] = lambda changes: None
    fault: int = 500


ROUTES: Final = (
    Route("POST", "/v1/changes", cloudevents.parse),
    Route("POST", "/v1/resync", resyncs.parse, "accounts"),
)
"""Those that need no settings of their own."""


def routes_of(settings: PublisherSettings, *, traced: bool = False) -> Sequence[Route]:
    """All that may be told with these settings. Where changes are `traced`, the traces that events name are read."""
    secret = settings.stalwart_secret
    key = None if secret is None else secret.get_secret_value()
    webhook = Route("POST", "/v1/webhooks/stalwart", stalwart.parser(key), None, key is not None)
    routes = (*ROUTES, webhook)
    if traced:
        return [
            route._replace(parse=partial(route.parse, traced=True)) if route.parse is cloudevents.parse else route
            for route in routes
        ]
    return routes
