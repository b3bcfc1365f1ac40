"""How a gateway sends its clients elsewhere: when it stops, at a pace, and each once it has been there for long."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import httpx2
import jwt
import pytest
import websockets

from tests.support.clients import DEADLINE, event_stream, eventually, jmap_client
from tests.support.gateway import SECRET, running_gateway
from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient
from tidings.gateway.limits.goodbyes import MIN_PER_SECOND

FOREVER = "300"


async def test_while_it_delays_it_is_not_ready_and_serves_as_before() -> None:
    async with running_gateway(drain_delay_seconds=1) as gateway, jmap_client(gateway.url()) as early:
        await early.subscribe()
        stopping = asyncio.create_task(gateway.service.stop())
        await eventually(lambda: gateway.health.ready() == (False, {"gateway": "draining"}))
        async with jmap_client(gateway.url()) as late:
            await late.subscribe()
            await gateway.publish("alice", {"Email": "s1"})
            for client in (early, late):
                assert await client.changed() == {"alice": {"Email": "s1"}}
                assert (await client.closed())[0] == 1012
        await stopping


async def test_from_then_on_new_connections_are_refused_and_those_there_are_told_until_they_are_closed() -> None:
    async with running_gateway() as gateway, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(jmap_client(gateway.url())) for _ in range(2 * MIN_PER_SECOND)]
        for client in clients:
            await client.subscribe()
        stopping = asyncio.create_task(gateway.service.stop())
        ends = [asyncio.create_task(client.socket.wait_closed()) for client in clients]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", gateway.port)
        await gateway.publish("alice", {"Email": "s1"})
        await stopping
        told = 0
        for client in clients:
            with suppress(websockets.ConnectionClosed):
                told += await client.changed() == {"alice": {"Email": "s1"}}
        assert 0 < told < len(clients)
        assert {client.socket.close_code for client in clients} == {1012}


async def test_without_time_everybody_goes_at_once() -> None:
    async with running_gateway(drain_seconds=0) as gateway, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(jmap_client(gateway.url())) for _ in range(2 * MIN_PER_SECOND)]
        stopping = asyncio.create_task(gateway.service.stop())
        await clients[0].closed()
        # Nobody was asked to wait: one step of the loop closed all of them.
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="shutdown") == len(clients)
        await stopping


@pytest.fixture
def gateway_that_delays() -> Iterator[Tidings]:
    with tidings("gateway", "--bus", "amqp://127.0.0.1:1/", "--drain-delay-seconds", FOREVER) as gateway:
        yield gateway
        gateway.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_means_now(gateway_that_delays: Tidings, number: signal.Signals) -> None:
    gateway = gateway_that_delays
    gateway.process.send_signal(number)
    await asyncio.to_thread(gateway.wait, lambda: gateway.events("stopping"))
    assert (await asyncio.to_thread(httpx2.get, gateway.url("probe", "/readyz"))).status_code == 503
    gateway.process.send_signal(number)
    assert await asyncio.to_thread(gateway.process.wait, patient(DEADLINE)) == -number
    assert gateway.stray == []


async def test_a_connection_of_the_maximum_age_is_sent_elsewhere_whatever_its_wire_format() -> None:
    async with running_gateway(max_connection_age=1) as gateway, httpx2.AsyncClient(timeout=patient(DEADLINE)) as http:
        url = gateway.http_url("/jmap/changes")
        cursor = (await http.get(url)).json()["pushState"]
        waiting = asyncio.create_task(http.get(url, params={"account": "alice", "since": cursor, "wait": "300"}))
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(jmap_client(gateway.url()))
            await client.subscribe()
            stream = await stack.enter_async_context(event_stream(gateway.http_url("/jmap/eventsource")))
            assert (await client.closed())[0] == 1012
            assert await stream.event() is not None
            last = await stream.event()
            assert last is not None
            assert last.retry is not None
            assert await stream.event() is None
        assert (await waiting).status_code == 304
        for wire_format in ("websocket", "eventsource"):
            labels = {"format": wire_format, "reason": "max_age"}
            assert gateway.value("tidings_connections_closed_total", **labels) == 1


async def test_a_token_that_ends_sooner_still_means_a_new_one() -> None:
    async with running_gateway(auth="jwt", jwt_secret=SECRET, max_connection_age=300) as gateway:
        token = jwt.encode({"sub": "alice", "exp": time.time() - 28}, SECRET, "HS256")
        async with jmap_client(gateway.url(f"access_token={token}")) as client:
            assert (await client.closed())[0] == 1008
