"""An honest client beside an attack: how long it takes to connect, and how long a change takes to reach it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from tests.hostile import wire

ACCOUNT = "honest"
PAUSE_SECONDS = 0.05


@dataclass
class Times:
    """Seconds, of each time."""

    connect: list[float] = field(default_factory=list)
    push: list[float] = field(default_factory=list)


def slowest(seconds: list[float]) -> float:
    """The 99th percentile, of a few dozen: the second slowest; one hiccup of the machine is no attack's success."""
    return sorted(seconds)[max(0, len(seconds) - 2)]


class Honest:
    """Holds one connection, which is told of changes, and makes others, which are closed at once.

    `clock` is what it measures with, in seconds.
    """

    def __init__(self, gateway_port: int, ingest_port: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._gateway, self._ingest = gateway_port, ingest_port
        self._clock = clock
        self._number = 0
        self._bearer = wire.token(ACCOUNT)

    def __enter__(self) -> Self:
        self._socket = wire.Socket(self._gateway, self._bearer)
        self._socket.subscribe(["Email"])
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sock.close()

    def measure(self, seconds: float) -> Times:
        """Live normally for so long."""
        times = Times()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            times.connect.append(self._connect())
            times.push.append(self._push())
            time.sleep(PAUSE_SECONDS)
        return times

    def _connect(self) -> float:
        began = self._clock()
        with wire.Socket(self._gateway, self._bearer) as socket:
            socket.subscribe(["Email"])
            return self._clock() - began

    def _push(self) -> float:
        self._number += 1
        state = f"honest-{self._number}"
        began = self._clock()
        assert wire.publish(self._ingest, [wire.event(ACCOUNT, {"Email": state}, self._number)]) == 202
        while state not in json.dumps(self._socket.message()):
            pass
        return self._clock() - began
