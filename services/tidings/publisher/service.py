"""The publisher's composition root."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final

from asyncio_pprof.traces import Followed, Sampler
from tidings.bus.log import ChangeLog
from tidings.ops.health import Health
from tidings.ops.http.serving import UvicornService
from tidings.ops.process.runtime import Runtime
from tidings.ops.service import Service
from tidings.ops.tracing.spans import Tracer
from tidings.ops.troubles import of_log
from tidings.publisher.accounts import AccountMap
from tidings.publisher.batch_traces import BatchTraces
from tidings.publisher.batcher import MAX_WAITING_BYTES, Batcher
from tidings.publisher.change_traces import ChangeTraces
from tidings.publisher.confirms import Confirms
from tidings.publisher.ingest.access import ingest_access
from tidings.publisher.ingest.app import create_app
from tidings.publisher.ingest.dovecot import Deliveries
from tidings.publisher.ingest.routes import routes_of
from tidings.publisher.metrics import PublisherMetrics, SpoolMetrics
from tidings.publisher.settings import PublisherSettings
from tidings.publisher.sources.journal.source import JournalSource
from tidings.publisher.sources.maildir.source import MaildirSource
from tidings.publisher.sources.metrics import SourceMetrics
from tidings.publisher.sources.submit import Submit
from tidings.publisher.spool.drain import Drain
from tidings.publisher.spool.file import SpoolFile
from tidings.publisher.spool.spool import Spool
from tidings.publisher.troubles import troubles

READY_POLL_SECONDS: Final = 0.2
REQUESTS_SHARE: Final = 0.5
"""Of what others may make the process hold, the part of requests whose changes are not in a batch yet."""


def compose(
    settings: PublisherSettings, log: ChangeLog, runtime: Runtime, tracer: Tracer | None = None
) -> list[Service]:
    """The publisher as services to run. A `tracer`, which has to be started before, is told of sampled changes.

    Raises SettingsError when the settings contradict each other.
    """
    access = ingest_access(settings)
    metrics = PublisherMetrics(runtime.registry)
    confirms = Confirms(log)
    services: list[Service] = [access.refusals]
    spool = None
    spool_file = SpoolFile(settings.state_dir, log.shards)
    # A log in memory is away only when the process is. A file that is there was written while there was a spool: what
    # it holds is acknowledged and has to be handed over, though nothing is added.
    if not settings.bus_in_memory and (settings.spool_bytes or spool_file.exists):
        spool_metrics = SpoolMetrics(runtime.registry)
        spool = Spool(spool_file, settings.spool_bytes, spool_metrics)
        services += [spool, Drain(spool, log, metrics, spool_metrics, confirms)]
    family = runtime.requests.family("batches, publisher", "from the ingest of the first change to the log's confirm")
    runtime.health.watch(lambda: of_log(log.down, log.alarm))
    runtime.health.watch(lambda: troubles(log_takes=log.can_append, spool=None if spool is None else spool.state))
    waiting = runtime.budget.account("waiting", most=MAX_WAITING_BYTES)
    traces = BatchTraces(family, Sampler())
    change_traces = None if tracer is None else ChangeTraces(tracer, settings.tracing_ratio, metrics, time.time)
    batcher = Batcher(log, metrics, traces, spool, confirms=confirms, waiting=waiting, change_traces=change_traces)
    services += [batcher, Readiness(log, spool, runtime.health)]
    # For sources that keep what the log has not confirmed themselves.
    direct = batcher
    if spool is not None:
        direct = Batcher(log, metrics, traces, confirms=confirms, waiting=waiting, change_traces=change_traces)
        services.append(direct)
    accounts = AccountMap(settings.account_map)
    counters = SourceMetrics(runtime.registry)
    runtime.health.watch(counters.troubles)
    services += [accounts, *_sources(settings, batcher.submit, direct.submit, counters, accounts, metrics)]
    unmapped = counters.unmapped.labels("http").inc
    routes = (*routes_of(settings, traced=tracer is not None), Deliveries().route)
    app = create_app(batcher.submit, access, metrics, accounts, unmapped, routes, traced=tracer is not None)
    requests = runtime.requests.family("requests, publisher", "from request head to response head")
    followed = Followed(app, app.routes, requests)
    account = runtime.budget.account("requests", REQUESTS_SHARE)
    keep_alive = settings.ingest_keep_alive_seconds
    services.append(UvicornService("ingest", followed, settings.host, settings.ingest_port, account, keep_alive))
    return services


def _sources(
    settings: PublisherSettings,
    submit: Submit,
    submit_directly: Submit,
    counters: SourceMetrics,
    accounts: AccountMap,
    metrics: PublisherMetrics,
) -> Iterator[Service]:
    """The sources that the settings name. `submit_directly` never leaves changes to the spool."""
    if settings.maildir is not None:
        yield MaildirSource(
            settings.maildir, settings.state_dir, submit, counters.of(MaildirSource.name), accounts, metrics
        )
    if settings.postgres_url is not None:
        # Here: the driver is large, and few need it.
        from tidings.publisher.sources.postgres.source import PostgresSource

        yield PostgresSource(
            settings.postgres_url,
            settings.state_dir,
            submit_directly,
            counters.of(PostgresSource.name),
            accounts,
        )
    if settings.journal_dir is not None:
        yield JournalSource(settings.journal_dir, submit, counters.of(JournalSource.name), accounts)
    if settings.imap_url is not None and settings.imap_accounts is not None:
        # Here, since its library takes others 60 ms to import.
        from tidings.publisher.sources.imap.source import ImapSource

        yield ImapSource(
            settings.imap_url,
            settings.imap_accounts,
            settings.imap_poll_seconds,
            settings.imap_connects_per_second,
            settings.imap_max_connections,
            settings.state_dir,
            submit,
            counters.of(ImapSource.name),
            accounts,
            metrics,
        )


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
        self._task = asyncio.create_task(self._follow(), name=self.name)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._health.set_ready("publisher", False, "shutting down")

    async def _follow(self) -> None:
        while True:
            accepts = self._log.can_append or (self._spool is not None and self._spool.accepts)
            self._health.set_ready("log", accepts, "neither the log nor the spool takes changes now")
            await asyncio.sleep(READY_POLL_SECONDS)
