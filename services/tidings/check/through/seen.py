"""What was seen from outside, through whatever is in between. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

WEBSOCKET: Final = "a WebSocket"
EVENT_STREAM: Final = "an event stream"
POLL: Final = "a poll"

SESSION_PATH: Final = "/.well-known/jmap"
PATHS: Final = {WEBSOCKET: "/jmap/ws", EVENT_STREAM: "/jmap/eventsource", POLL: "/jmap/changes"}


class Answer(NamedTuple):
    """How a path was answered. `status` is 0 where there was no HTTP; `said` is what came, or why nothing did.

    `ours`: by a gateway, as far as one can tell.
    """

    path: str
    status: int
    said: str = ""
    ours: bool = True
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """The session resource, and what a gateway says of the request for it.

    `client` is the address that the gateway counts us for, `forged` the one after we have claimed `CLAIMED`, None: it
    does not say. `here` is our own address on that connection. `leads_to` are the origins of its URLs, `asked` is the
    origin that was asked.
    """

    answer: Answer
    asked: str
    here: str = ""
    client: str | None = None
    forged: str | None = None
    version: str | None = None
    leads_to: frozenset[str] = frozenset()


CLAIMED: Final = "192.0.2.77"
"""An address of nobody's (RFC 5737), claimed in X-Forwarded-For."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything. Times are in seconds; `None` instead of one: it did not happen in time.

    `first` is until the first event, which a gateway sends at once; `told` until a change arrived that was published,
    by transport; `cut` the age at which a silent connection ended, by transport, of those that were watched.
    """

    session: Session
    answers: Mapping[str, Answer] = field(default_factory=dict)
    first: float | None = None
    told: Mapping[str, float | None] = field(default_factory=dict)
    cut: Mapping[str, float | None] = field(default_factory=dict)
