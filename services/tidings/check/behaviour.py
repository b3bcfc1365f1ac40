"""What a client does on one connection and after it. Pure: all chance is the caller's generator."""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import Final, NamedTuple

from tidings.check.ledger import TYPES


class Form(Enum):
    """The wire formats of a gateway."""

    WEBSOCKET = "websocket"
    EVENT_STREAM = "eventsource"
    POLL = "poll"


class Episode(NamedTuple):
    """One connection: in which form, how long the client reads nothing, how long it then reads, and how it ends.

    `forgets` means that it comes without its cursor, `vanishes` that it goes without a farewell.
    """

    form: Form
    forgets: bool
    stall_seconds: float
    listen_seconds: float
    vanishes: bool
    absent_seconds: float


FORMS: Final = (Form.WEBSOCKET, Form.WEBSOCKET, Form.EVENT_STREAM, Form.POLL)
WANTED: Final = (TYPES, TYPES, ("Email",), ("Email", "Mailbox"))
MIXES: Final = (TYPES, ("Email",), ("Email", "Mailbox"), ("Mailbox",))
"""What a change may touch."""


def episode(random: Random) -> Episode:
    """What a client does next."""
    return Episode(
        form=random.choice(FORMS),
        forgets=random.random() < 0.05,
        stall_seconds=random.uniform(0.5, 4.0) if random.random() < 0.2 else 0.0,
        listen_seconds=random.expovariate(1 / 5),
        vanishes=random.random() < 0.5,
        absent_seconds=random.expovariate(1 / 2),
    )


def reconnect_seconds(random: Random) -> float:
    """The pause of a client that lost its connection, or did not get one."""
    return random.uniform(0.0, 1.0)
