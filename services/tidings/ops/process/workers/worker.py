"""A worker: the services of one process, on the listening socket that its number has."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from tidings.ops.admin.guard import admin_access
from tidings.ops.admin.listeners import OpsListeners
from tidings.ops.health import expose
from tidings.ops.process.lifecycle import serve
from tidings.ops.process.runtime import Runtime, new_runtime, profiling
from tidings.ops.process.workers.board import Seat, SharedHealth
from tidings.ops.service import Service
from tidings.ops.settings.common import OpsSettings

Compose = Callable[[Runtime, socket.socket | None], Sequence[Service]]
"""Services that accept from this listening socket; None: from one of their own, once they are started."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker of this number has, and its successors inherit, connections that wait in the queues included."""

    number: int
    listener: socket.socket
    admin: socket.socket
    """A Unix socket for its admin listener."""

    def close(self) -> None:
        """Close it in this process."""
        self.listener.close()
        self.admin.close()


class Attendance:
    """The last service: tells that all before it have started."""

    name = "worker"

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def start(self) -> None:
        self._seat.started = True

    async def stop(self) -> None:
        """Nothing to tell: the supervisor sees the process end."""


def work(
    command: str, place: Place, workers: int, seat: Seat, lifeline: int, compose: Compose, settings: OpsSettings
) -> None:
    """Serve, as one of `workers`, until the supervisor stops, or is gone.

    Raises SettingsError for what the operator has to change.
    """
    structlog.contextvars.bind_contextvars(worker=place.number)
    runtime = new_runtime(
        health=SharedHealth(seat),
        profiling=profiling(settings, command),
        memory_limit=settings.memory_limit_bytes,
        processes=workers,
    )
    runtime.profiler.install()
    expose(runtime.health, command, runtime.registry)
    services = [*compose(runtime, place.listener), Attendance(seat)]
    listeners = OpsListeners(
        f"tidings {command}, worker {place.number}",
        {"admin": place.admin},
        runtime.registry,
        runtime.health,
        admin_access(settings),
        runtime.pages,
        runtime.published,
    )
    serve(services, runtime, listeners, lifeline)
