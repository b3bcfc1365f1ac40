"""What every source of changes reports, whatever it watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from tidings.ops.troubles import Trouble

LAG_SECONDS: Final = 30.0
"""How long a lag counts that is not told again."""


class SourceMetrics:
    """Registered once per process; `of` gives a source its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        label = ["source"]
        self.events = Counter(
            "tidings_source_events",
            "Changes of a source that are safe, in the log or the spool",
            label,
            registry=registry,
        )
        self.gaps = Counter(
            "tidings_source_gaps",
            "Times that a source may have missed changes, and clients were asked to resynchronise",
            ["source", "reason"],
            registry=registry,
        )
        self.connected = Gauge(
            "tidings_source_connected", "1 while the source is connected to what it watches", label, registry=registry
        )
        self.lag = Gauge(
            "tidings_source_lag_seconds",
            "Waiting time of the oldest change, among those of the last 30 s",
            label,
            registry=registry,
        )
        self.unmapped = Counter(
            "tidings_source_unmapped",
            "Changes that were dropped because --account-map has no account for their login",
            label,
            registry=registry,
        )

        self.away: dict[str, str] = {}
        """Of each source that does not reach what it watches, why."""

    def troubles(self) -> Iterator[Trouble]:
        """What is wrong with sources at the moment. May be called from another thread."""
        for name, why in tuple(self.away.items()):
            yield Trouble(f"The source {name} is not connected", why, "TidingsSourceAway")

    def of(self, name: str) -> SourceCounters:
        """The counters of the source of this name, which are there from now on."""
        return SourceCounters(self, name)


class SourceCounters:
    """What one source reports."""

    def __init__(self, metrics: SourceMetrics, name: str) -> None:
        self._away = metrics.away
        self._gaps = metrics.gaps
        self._name = name
        self._events = metrics.events.labels(name)
        self._connected = metrics.connected.labels(name)
        self._lag = (0.0, 0.0)
        """The last one, and when it was told."""
        metrics.lag.labels(name).set_function(self._lag_now)
        self._unmapped = metrics.unmapped.labels(name)

    def event(self, n: int = 1) -> None:
        """So many changes are safe."""
        self._events.inc(n)

    def gap(self, reason: str) -> None:
        """Something may have been missed; whoever calls this submits `anything_changed` too."""
        self._gaps.labels(self._name, reason).inc()

    def connected(self, connected: bool, why: str = "") -> None:
        """Whether the source reaches what it watches, and `why` it does not."""
        self._connected.set(connected)
        if connected:
            self._away.pop(self._name, None)
        else:
            self._away[self._name] = why

    def lag(self, seconds: float) -> None:
        """How long a change has waited to be safe. It is forgotten after a while, if no other is told."""
        self._lag = (max(0.0, seconds), time.monotonic())

    def _lag_now(self) -> float:
        seconds, told = self._lag
        return seconds if time.monotonic() - told < LAG_SECONDS else 0.0

    def unmapped(self, n: int = 1) -> None:
        """So many changes were dropped, since their login has no account."""
        self._unmapped.inc(n)
