"""What is attacked: a broker, a publisher and a gateway, each a process, and an honest client that is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.hostile import wire
from tests.hostile.attacks import Attack
from tests.hostile.honest import Honest, Times, slowest
from tests.support.broker import Broker
from tests.support.processes import Tidings
from tests.support.waiting import promised

QUIET_SECONDS = 1.5
ATTACK_SECONDS = 4.0
ROUNDS = 3
"""Of so many times beside an attack, each of ATTACK_SECONDS, the best counts."""
SLOWER = 20
"""How many times slower an honest client may be beside an attack. The faults were 100 times and more."""
FLOOR_SECONDS = 0.005
"""What counts as the least time without an attack, so that the bound is never below 100 ms."""


@dataclass(frozen=True)
class Installation:
    """Processes on free ports."""

    broker: Broker
    publisher: Tidings
    gateway: Tidings

    @property
    def port(self) -> int:
        return self.gateway.ports["gateway"]

    @property
    def ingest_port(self) -> int:
        return self.publisher.ports["ingest"]

    @property
    def probe_port(self) -> int:
        return self.gateway.ports["probe"]

    def honest(self, clock: Callable[[], float] = time.perf_counter) -> Honest:
        return Honest(self.port, self.ingest_port, clock)


Install = Callable[..., Installation]


def unharmed(installation: Installation, attack: Attack) -> None:
    """Measure an honest client without an attack, then beside it, and hold the one against the other.

    The clock is the CPU time of the gateway: what the gateway does until it has served the honest client. The time
    for which a busy machine lets the gateway wait is not in it. What the gateway does for the attacker is, while a busy
    machine lets the client, the publisher or the broker wait: that is as long as others want, and an attack does harm
    all the time. So there are several rounds at the most, and what is beyond the bound in each is the attack's doing.
    """
    with installation.honest(partial(wire.cpu_seconds, installation.gateway.pid)) as honest:
        before = honest.measure(QUIET_SECONDS)
        with attack:
            for _ in range(ROUNDS):
                harm = _harm(before, honest.measure(ATTACK_SECONDS))
                if not harm:
                    break
    assert not harm, harm


def _harm(before: Times, beside: Times) -> list[str]:
    """What took longer beside an attack than it may."""
    found = []
    for name in ("connect", "push"):
        bound = promised(SLOWER * max(FLOOR_SECONDS, slowest(getattr(before, name))))
        took = slowest(getattr(beside, name))
        if took > bound:
            found.append(f"{name}: {took * 1000:.0f} ms beside the attack, {bound * 1000:.0f} ms are allowed")
    return found
