"""Liveness and readiness, as Kubernetes means them. Read from the ops thread, written by the service's loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry

from tidings.ops.metrics import HotMetrics, added
from tidings.ops.troubles import Trouble

STUCK_SECONDS: Final = 30.0
"""A main loop that has not beaten for so long is stuck for good."""
BEAT_SECONDS: Final = 1.0


class Health:
    """What /livez and /readyz say."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beaten = clock()
        self._unready: dict[str, str] = {}
        self._sources: list[Callable[[], Iterable[Trouble]]] = []

    def beat(self) -> None:
        """The main loop runs."""
        self._beaten = self._clock()

    def alive(self) -> bool:
        """Whether the main loop has beaten lately."""
        return self.beat_age() < STUCK_SECONDS

    def beat_age(self) -> float:
        """Seconds since the main loop last ran."""
        return self._clock() - self._beaten

    def set_ready(self, name: str, ready: bool, reason: str = "") -> None:
        """Say whether a part of the service is ready, and if not, why."""
        if ready:
            self._unready.pop(name, None)
        else:
            self._unready[name] = reason

    def watch(self, source: Callable[[], Iterable[Trouble]]) -> None:
        """Ask this for what is wrong, whenever somebody looks; in the ops thread."""
        self._sources.append(source)

    def troubles(self) -> list[Trouble]:
        """What is wrong at the moment; each trouble once, also where several parts have it."""
        return list(dict.fromkeys(trouble for source in self._sources for trouble in source()))

    def ready(self) -> tuple[bool, dict[str, str]]:
        """Whether every part is ready, and why those that are not are not."""
        unready = dict(self._unready)
        return not unready, unready


def expose(health: Health, command: str, registry: CollectorRegistry) -> None:
    """Tell in metrics what runs here, and how it is."""
    metrics = HotMetrics(registry)
    built: tuple[str, ...] = (command, version("tidings"))
    metrics.labelled_gauge(
        "tidings_build_info",
        "Always 1. The labels name the command and the version",
        ["command", "version"],
        lambda: {built: 1.0},
        merged=max,
    )
    metrics.labelled_gauge(
        "tidings_ready", "1 while /readyz answers 200", ["command"], lambda: {command: health.ready()[0]}, merged=added
    )
    # That of the worker that is stuck.
    metrics.gauge(
        "tidings_beat_age_seconds",
        "Time since the main loop last ran. /livez fails at 30 s",
        health.beat_age,
        merged=max,
    )
