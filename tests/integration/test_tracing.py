"""Traces of changes: what a gateway tells of them, and what comes to a collector of them from storage to socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import token_bytes
from typing import Final

import httpx2
import pytest
import structlog
from prometheus_client.openmetrics.exposition import generate_latest
from structlog.testing import LogCapture

from tests.support.broker import Broker
from tests.support.clients import eventually, jmap_client
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.otlp import Told, collector, receiver
from tests.support.processes import tidings
from tests.support.spans import KeptSpans
from tests.support.waiting import patient, promised
from tidings.wire import batch
from tidings.wire.batch import Traced
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

CONTEXT: Final = bytes(range(1, 25))
TRACE, SPAN = CONTEXT[:16].hex(), CONTEXT[16:].hex()
EVENT = {
    "specversion": "1.0",
    "id": "42",
    "source": "/imap1",
    "type": "mail.MessageNew",
    "subject": "alice",
    "traceparent": f"00-{TRACE}-{SPAN}-01",
}
EVENT_TYPE = {"Content-Type": "application/cloudevents+json"}


async def publish_traced(gateway: RunningGateway, account: str, traced: Sequence[Traced] | None = None) -> None:
    now = time.time()
    changes = (Change(account, {"Email": "s"}, "MessageNew", "1", "test", now - 0.5, now - 0.25),)
    marked = batch.marked(token_bytes(16), traced=True)
    payload = batch.encode(marked, now - 0.1, changes, tuple(traced or [Traced(0, CONTEXT)]))
    await gateway.log.append(shard_of(account, gateway.log.shards), payload)


async def test_the_feed_and_the_first_write_of_a_traced_change() -> None:
    tracer = KeptSpans()
    async with running_gateway(tracer=tracer) as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        await publish_traced(gateway, "alice")
        await client.changed()
        await eventually(lambda: tracer.named("write") and tracer.named("write")[0].ended)
        (feed,), (write,) = tracer.named("feed"), tracer.named("write")
        assert (feed.kind, feed.parent) == ("consumer", CONTEXT)
        assert (write.kind, write.parent) == ("producer", feed.context)
        assert feed.ended is not None
        assert write.ended is not None
        assert feed.began < feed.ended == write.began < write.ended < time.time() + 1
        assert not write.failed
        told = generate_latest(gateway.registry).decode()  # type: ignore[no-untyped-call]
        for name in ("append_to_consume", "consume_to_write", "change_to_write"):
            shown = [
                line for line in told.splitlines() if line.startswith(f"tidings_{name}_seconds_bucket") and "#" in line
            ]
            assert [f'trace_id="{TRACE}"' in line for line in shown] == [True], name


async def test_the_first_write_to_a_client_that_was_just_told_of_something_else() -> None:
    tracer = KeptSpans()
    async with (
        running_gateway(tracer=tracer, coalesce_ms=round(1000 * promised(0.3))) as gateway,
        jmap_client(gateway.url()) as client,
    ):
        await client.subscribe()
        await gateway.publish("alice", {"Email": "s1"})
        await client.changed()
        await publish_traced(gateway, "alice")
        await client.changed()
        await eventually(lambda: tracer.named("write")[0].ended)
        (write,) = tracer.named("write")
        assert write.ended is not None
        assert write.ended - write.began > 0.1


async def test_the_first_write_to_a_client_that_polls() -> None:
    tracer = KeptSpans()
    async with running_gateway(tracer=tracer) as gateway, httpx2.AsyncClient() as client:
        url = gateway.http_url("/jmap/changes", "account=alice&wait=60")
        etag = (await client.get(url)).headers["etag"]
        polling = asyncio.create_task(client.get(url, headers={"If-None-Match": etag}, timeout=patient(20)))
        await eventually(lambda: gateway.value("tidings_connections_open", format="poll") == 1)
        await publish_traced(gateway, "alice")
        assert (await polling).status_code == 200
        await eventually(lambda: tracer.named("write")[0].ended)
        assert not tracer.named("write")[0].failed


async def test_a_change_of_nobody_who_is_here_and_one_that_is_not_there_have_no_spans() -> None:
    tracer = KeptSpans()
    async with running_gateway(tracer=tracer) as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        other = next(
            name
            for name in (f"user{number}" for number in range(1_000))
            if shard_of(name, gateway.log.shards) == shard_of("alice", gateway.log.shards)
        )
        await publish_traced(gateway, other)
        await publish_traced(gateway, "alice", [Traced(7, CONTEXT)])
        await client.changed()
        assert tracer.spans == []


async def test_lines_in_the_log_about_a_traced_change_have_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, lines], cache_logger_on_first_use=False)
    try:
        async with running_gateway(tracer=KeptSpans()) as gateway, jmap_client(gateway.url()) as client:
            await client.subscribe()
            log = structlog.get_logger()
            hub = gateway.service._parts.lot.hub  # type: ignore[attr-defined]
            publish = hub.publish

            def telling(*arguments: object) -> None:
                log.info("telling")
                publish(*arguments)

            monkeypatch.setattr(type(hub), "publish", lambda self, *arguments: telling(*arguments))
            await publish_traced(gateway, "alice")
            await client.changed()
            await gateway.publish("alice", {"Email": "s2"})
            await client.changed()
    finally:
        structlog.reset_defaults()
    assert [line.get("trace_id") for line in lines.entries if line["event"] == "telling"] == [TRACE, None]


def by_name(spans: Sequence[Told]) -> dict[str, Told]:
    found = {span.name: span for span in spans if span.trace == TRACE}
    assert len(found) == len([span for span in spans if span.trace == TRACE])
    return found


async def test_a_trace_from_the_event_of_a_storage_to_the_first_write_comes_to_a_collector(
    broker: Broker, tmp_path: Path
) -> None:
    """Through the broker, from two processes, by OpenTelemetry's own collector."""
    with receiver() as taking, collector(tmp_path, taking) as endpoint:
        env = {"OTEL_BSP_SCHEDULE_DELAY": "100", "TIDINGS_TRACING_ENDPOINT": endpoint, "TIDINGS_BUS": broker.url}
        state = ("--state-dir", str(tmp_path / "state"))
        with (
            tidings("publisher", *state, "--tracing-ratio", "0", env=env) as publisher,
            tidings("gateway", env=env) as gateway,
        ):
            publisher.wait_connected()
            gateway.wait_connected()
            async with (
                jmap_client(gateway.url("gateway", "/jmap/ws?account=alice", "ws")) as client,
                httpx2.AsyncClient() as storage,
            ):
                await client.subscribe()
                untraced = {**EVENT, "traceparent": f"00-{'a' * 32}-{SPAN}-00"}
                for event in (untraced, EVENT):
                    answer = await storage.post(publisher.url("ingest", "/v1/changes"), json=event, headers=EVENT_TYPE)
                    assert answer.status_code == 202
                await client.changed()
                await eventually(lambda: len(taking.spans) >= 4)
        assert {span.trace for span in taking.spans} == {TRACE}
        spans = by_name(taking.spans)
        assert list(map(spans.__contains__, ("ingest", "append", "feed", "write"))) == [True] * 4
        assert [spans[name].parent for name in ("ingest", "append", "feed", "write")] == [
            SPAN,
            spans["ingest"].id,
            spans["append"].id,
            spans["feed"].id,
        ]
        assert [spans[name].service for name in ("append", "feed")] == ["tidings-publisher", "tidings-gateway"]
        assert spans["ingest"].attributes["cloudevents.event_id"] == "42"
        assert spans["append"].attributes["tidings.outcome"] == "confirmed by the log"
        assert "alice" not in repr(taking.spans)


def test_a_storage_that_names_the_trace_of_its_request_only(tmp_path: Path) -> None:
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"), "--tracing-ratio", "0")
    with receiver() as taking:
        env = {"OTEL_BSP_SCHEDULE_DELAY": "50", "TIDINGS_TRACING_ENDPOINT": taking.url}
        with tidings("up", *flags, env=env) as running:
            event = {name: value for name, value in EVENT.items() if name != "traceparent"}
            headers = {**EVENT_TYPE, "traceparent": f"00-{TRACE}-{SPAN}-01"}
            assert httpx2.post(running.url("ingest", "/v1/changes"), json=event, headers=headers).status_code == 202
        spans = by_name(taking.spans)
        assert (spans["ingest"].parent, spans["append"].parent) == (SPAN, spans["ingest"].id)
        assert spans["ingest"].service == "tidings-up"


def test_chance_picks_what_no_storage_traces_and_the_log_says_when_no_collector_is_there(tmp_path: Path) -> None:
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"), "--tracing-ratio", "1")
    with receiver() as taking:
        taking.status = 401
        env = {"OTEL_BSP_SCHEDULE_DELAY": "50", "TIDINGS_TRACING_ENDPOINT": taking.url}
        with tidings("up", *flags, env=env) as running:
            event = {name: value for name, value in EVENT.items() if name != "traceparent"}
            assert httpx2.post(running.url("ingest", "/v1/changes"), json=event, headers=EVENT_TYPE).status_code == 202
            running.wait(lambda: running.events("the collector does not take traces"))
            assert "401" in running.events("the collector does not take traces")[0]["reason"]
            metrics = httpx2.get(running.url("probe", "/metrics")).text
            assert 'tidings_tracing_spans_total{outcome="failed"}' in metrics
