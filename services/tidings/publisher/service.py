"""The publisher's composition root."""

from __future__ import annotations

import asyncio
from typing import Final

from tidings.bus.log import ChangeLog
from tidings.ops.health import Health
from tidings.ops.lifecycle import Runtime, Service
from tidings.ops.listener import UvicornService
from tidings.ops.requests import Followed, Sampler
from tidings.publisher.access import ingest_access
from tidings.publisher.app import create_app
from tidings.publisher.batcher import Batcher
from tidings.publisher.drain import Drain
from tidings.publisher.lives import BatchLives
from tidings.publisher.metrics import PublisherMetrics, SpoolMetrics
from tidings.publisher.settings import PublisherSettings
from tidings.publisher.sources.maildir import MaildirSource
from tidings.publisher.spool import Spool
from tidings.publisher.spool_file import SpoolFile

READY_POLL_SECONDS: Final = 0.2


def compose(settings: PublisherSettings, log: ChangeLog, runtime: Runtime) -> list[Service]:
    """The publisher as services to run.

    Raises SettingsError when the settings contradict each other.
    """
    access = ingest_access(settings)
    metrics = PublisherMetrics(runtime.registry)
    services: list[Service] = []
    spool = None
    spool_file = SpoolFile(settings.state_dir, log.shards)
    # A log in memory is away only when the process is. A file that is there was written while there was a spool: what
    # it holds is acknowledged and has to be handed over, though nothing is added.
    if not settings.bus_in_memory and (settings.spool_bytes or spool_file.exists):
        spool_metrics = SpoolMetrics(runtime.registry)
        spool = Spool(spool_file, settings.spool_bytes, spool_metrics)
        services += [spool, Drain(spool, log, metrics, spool_metrics)]
    family = runtime.requests.family("batches, publisher", "from the ingest of the first change to the log's confirm")
    batcher = Batcher(log, metrics, BatchLives(family, Sampler()), spool)
    services += [batcher, Readiness(log, spool, runtime.health)]
    if settings.maildir is not None:
        services.append(MaildirSource(settings.maildir, settings.state_dir, batcher.submit, metrics))
    app = create_app(batcher.submit, access, metrics)
    requests = runtime.requests.family("requests, publisher", "from the head of a request to the head of its answer")
    followed = Followed(app, app.routes, requests)
    services.append(UvicornService("ingest", followed, settings.host, settings.ingest_port))
    return services


class Readiness:
    """Ready while the log or the spool accepts: without both every request is answered 503."""

    name = "readiness"

    def __init__(self, log: ChangeLog, spool: Spool | None, health: Health) -> None:
        self._log = log
        self._spool = spool
        self._health = health
        self._task: asyncio.Task[None] | None = None
        self._health.set_ready("log", False, "not connected yet")

    async def start(self) -> None:
        """Follow the log."""
        self._task = asyncio.create_task(self._follow(), name=self.name)

    async def stop(self) -> None:
        """Not ready any more."""
        if self._task is not None:
            self._task.cancel()
        self._health.set_ready("publisher", False, "shutting down")

    async def _follow(self) -> None:
        while True:
            accepts = self._log.can_append or (self._spool is not None and self._spool.accepts)
            self._health.set_ready("log", accepts, "neither log nor spool take anything at the moment")
            await asyncio.sleep(READY_POLL_SECONDS)
