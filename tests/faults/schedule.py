"""Which fault comes when: all of them in random order, again and again, by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from random import Random
from typing import NamedTuple


class Fault(Enum):
    """What happens to the installation."""

    BROKER_RESTARTED = "broker restarted"
    BROKER_KILLED = "broker killed"
    CONFIRM_CUT = "connection cut before the confirm"
    BROKER_FROZEN = "broker frozen and thawed"
    MEMORY_ALARM = "memory alarm"
    STREAM_RECREATED = "stream deleted and declared again"
    GATEWAY_KILLED = "gateway killed"
    PUBLISHER_KILLED = "publisher killed"
    POSTGRES_KILLED = "PostgreSQL killed"


class Step(NamedTuple):
    """A fault after a pause. `seconds` is how long it lasts, where it does; `which` picks one of several."""

    pause: float
    fault: Fault
    seconds: float
    which: int


def steps(seed: int) -> Iterator[Step]:
    """Rounds without end; a round has every fault once."""
    random = Random(f"{seed} faults")
    while True:
        for fault in random.sample(list(Fault), len(Fault)):
            yield Step(random.uniform(0.5, 2.5), fault, random.uniform(1.0, 6.0), random.randrange(1_000_000))
