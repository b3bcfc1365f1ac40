"""How often something is done, and what it costs the two cores that take part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from bench.usage import cpu_seconds


@dataclass
class Rate:
    """A count, in how much time: on the clock, of the server's core, of the load's core, of what works beside them."""

    count: int = 0
    seconds: float = 0.0
    server: float = 0.0
    load: float = 0.0
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_core(self) -> float:
        """Per second of the server's CPU time."""
        return self.count / self.server

    @property
    def server_share(self) -> float:
        """The share of a core that the server took."""
        return self.server / self.seconds

    @property
    def load_share(self) -> float:
        """The share of a core that the load took."""
        return self.load / self.seconds


@contextmanager
def timed(pids: Sequence[int], beside: Mapping[str, Sequence[int]] = MappingProxyType({})) -> Iterator[Rate]:
    """Measure what happens inside, the load in this thread and the server in these processes; it sets the count.

    `beside` are the processes of others who take part, by name.
    """
    rate = Rate()
    others = {name: cpu_seconds(processes) for name, processes in beside.items()}
    start, before, load = time.monotonic(), cpu_seconds(pids), time.thread_time()
    yield rate
    rate.load = time.thread_time() - load
    rate.server = cpu_seconds(pids) - before
    rate.beside = {name: cpu_seconds(beside[name]) - spent for name, spent in others.items()}
    rate.seconds = time.monotonic() - start
