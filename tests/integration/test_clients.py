"""Clients of others, as their users install them: JMAP's (PyPI's jmapc, npm's jmap-jam) and npm's of event streams."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any

import httpx2
import jwt
import pytest

from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.node import DEADLINE, Receiver, running, script
from tests.support.ports import free_ports
from tests.support.tls import CERTIFICATE, make_certificate, terminated
from tests.support.waiting import eventually, patient, promised, within
from tidings.bus.memory import MemoryLog
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

JAM = Path(__file__).parent / "jmap-jam" / "receive.mjs"
SSE = Path(__file__).parent / "sse-clients" / "listen.mjs"


def token(*accounts: str) -> str:
    return jwt.encode({"sub": accounts[0], "accounts": accounts[1:], "exp": time.time() + 600}, SECRET, "HS256")


async def listened_to(gateway: RunningGateway) -> None:
    """Wait until an event stream has been opened."""
    async with within(DEADLINE):
        while not gateway.registry.get_sample_value("tidings_connections_opened_total", {"format": "eventsource"}):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[RunningGateway]:
    """A gateway with tokens that follows alice's shard already: nothing published from here on is too early."""
    async with running_gateway(auth="jwt", jwt_secret=SECRET, **settings) as gateway, httpx2.AsyncClient() as client:
        url = gateway.http_url("/jmap/changes", f"access_token={token('alice')}")
        assert (await client.get(url, timeout=patient(DEADLINE))).status_code == 200
        yield gateway


def jam(gateway: RunningGateway, bearer: str, **options: object) -> AbstractAsyncContextManager[Receiver]:
    url = f"http://127.0.0.1:{gateway.port}/.well-known/jmap"
    return script(JAM, url, bearer, json.dumps(options))


async def test_jmap_jam_is_told_of_every_change() -> None:
    async with opened() as gateway, jam(gateway, token("alice"), types="*", ping=0) as client:
        await listened_to(gateway)
        cursors = set()
        for changed in ({"Email": "s1"}, {"Mailbox": "grüße", "Thread": "t1"}):
            await gateway.publish("alice", changed)
            told = await client.receive()
            assert told["type"] == "state"
            assert told["data"] == {"@type": "StateChange", "changed": {"alice": changed}}
            cursors.add(told["id"])
        assert len(cursors) == 2


async def test_jmap_jam_is_told_of_the_types_it_asks_for_and_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.codecs.eventsource.MIN_PING_SECONDS", 1)
    options = {"types": ["Email", "Mailbox"], "ping": 1}
    async with opened(head_seconds=promised(0.5)) as gateway, jam(gateway, token("alice"), **options) as client:
        await listened_to(gateway)
        await gateway.publish("alice", {"Thread": "t1"})
        await gateway.publish("alice", {"Email": "s1", "Thread": "t2"})
        told = [await client.receive()]
        while {one["type"] for one in told} < {"state", "ping"}:
            told.append(await client.receive())
        (state,) = (one["data"] for one in told if one["type"] == "state")
        assert state["changed"] == {"alice": {"Email": "s1"}}
        assert all(one["data"] == {"interval": 1} for one in told if one["type"] == "ping")


async def test_jmap_jam_misses_nothing_between_streams_that_close_after_one_state() -> None:
    async with opened() as gateway, jam(gateway, token("alice"), types="*", ping=0, closeafter="state") as client:
        await listened_to(gateway)
        for changed in ({"Email": "1"}, {"Email": "2", "Mailbox": "2"}):
            await gateway.publish("alice", changed)
            assert (await client.receive())["data"]["changed"] == {"alice": changed}


@asynccontextmanager
async def opened_with_tls(directory: Path) -> AsyncIterator[tuple[RunningGateway, str]]:
    """jmapc speaks only https."""
    (port,) = free_ports(1)
    async with terminated(port, make_certificate(directory)) as tls_port:
        host = f"127.0.0.1:{tls_port}"
        async with opened(port=port, public_url=f"https://{host}") as gateway:
            yield gateway, host


def jmapc(host: str, directory: Path, bearer: str, *options: str) -> Any:
    command = (sys.executable, "-m", "tests.support.jmapc_receiver", host, bearer, *options)
    path = ":".join(part for part in sys.path if part)
    return running(*command, env={"REQUESTS_CA_BUNDLE": str(directory / CERTIFICATE), "PYTHONPATH": path})


async def test_jmapc_is_told_of_every_change(tmp_path: Path) -> None:
    async with opened_with_tls(tmp_path) as (gateway, host):
        async with jmapc(host, tmp_path, token("alice", "team"), "*", "no", "0") as client:
            await listened_to(gateway)
            await gateway.publish("alice", {"Email": "s1", "Thread": "t1"})
            told = await client.receive()
            assert told["changed"] == {"alice": states(email="s1", thread="t1")}
            await gateway.publish("alice", {"Mailbox": "grüße"})
            assert (await client.receive())["changed"] == {"alice": states(mailbox="grüße")}
        async with jmapc(host, tmp_path, token("alice", "team"), "Mailbox", "no", "30", told["id"]) as client:
            assert (await client.receive())["changed"] == {"alice": states(mailbox="grüße")}


async def test_jmapc_misses_nothing_between_streams_that_close_after_one_state(tmp_path: Path) -> None:
    asked = (token("alice"), "Email,Mailbox", "state", "0")
    async with opened_with_tls(tmp_path) as (gateway, host), jmapc(host, tmp_path, *asked) as client:
        await listened_to(gateway)
        await gateway.publish("alice", {"Thread": "not asked for"})
        await gateway.publish("alice", {"Email": "1"})
        assert (await client.receive())["changed"] == {"alice": states(email="1")}
        await gateway.publish("alice", {"Email": "2", "Mailbox": "2", "Thread": "not asked for"})
        assert (await client.receive())["changed"] == {"alice": states(email="2", mailbox="2")}


def states(**known: str) -> dict[str, str | None]:
    """The states of an account as jmapc has them."""
    return {**dict.fromkeys(("calendar_event", "mailbox", "email", "email_delivery", "thread")), **known}


@pytest.mark.parametrize(
    "client", ["eventsource", "undici", "polyfill", "polyfill-query", "launchdarkly", "fetch-event-source"]
)
async def test_an_event_stream_client_misses_nothing_that_happens_before_its_first_event(client: str) -> None:
    """It was told where it is and of no change yet; then its gateway goes, something happens, and another one comes."""
    (port,) = free_ports(1)
    log = MemoryLog(shards=8)
    await log.open()
    settings: dict[str, Any] = {"auth": "jwt", "jwt_secret": SECRET, "port": port, "log": log}
    url = f"http://127.0.0.1:{port}/jmap/eventsource/?types=*&closeafter=no&ping=0"
    async with AsyncExitStack() as stack:
        async with running_gateway(**settings) as gateway:
            source = await stack.enter_async_context(script(SSE, client, url, token("alice")))
            assert await source.receive() == {"type": "open"}
            await eventually(lambda: gateway.value("tidings_resumes_total", outcome="fresh") == 1)
        # Nobody listens meanwhile.
        shard = shard_of("alice", log.shards)
        change = Change("alice", {"Email": "s1"}, "FlagsSet", "1", "test")
        await log.append(shard, batch.encode(token_bytes(16), time.time(), (change,)))
        async with running_gateway(**settings) as gateway:
            assert await told(source) == {"alice": {"Email": "s1"}}
            await gateway.publish("alice", {"Email": "s2"})
            assert await told(source) == {"alice": {"Email": "s2"}}
            assert gateway.value("tidings_resumes_total", outcome="replayed_window") == 1
    await log.close()


async def told(source: Receiver) -> Any:
    """What changed, by the next event that says so; to a listener of `state`, where the client has such."""
    while True:
        event = await source.receive()
        assert event["type"] in ("open", "state", "message")
        if event["type"] != "open" and event["data"]["changed"]:
            return event["data"]["changed"]
