"""Clients that want to know are told when changes cannot reach them; others notice nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support.clients import JmapClient, event_stream, jmap_client
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.unreliable import UnreliableLog
from tests.support.waiting import patient
from tidings.gateway import driver
from tidings.gateway.formats import poll as parked_poll
from tidings.gateway.hub import outages

SOON = 30.0
STALLED: dict[str, Any] = {"@type": "PushStatus", "stalled": True}
OVER: dict[str, Any] = {"@type": "PushStatus", "stalled": False}


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not so soon that a feed which is well seems silent: it appends a marker after 2.8 s."""
    monkeypatch.setattr(outages, "SILENT_SECONDS", 6.0)
    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(parked_poll, "OUTAGE_SECONDS", 0.5)


async def opened(log: UnreliableLog) -> UnreliableLog:
    await log.open()
    return log


async def subscribe(client: JmapClient) -> None:
    await client.send(**{"@type": "WebSocketPushEnable", "dataTypes": None, "pushStatus": True})


async def poll(gateway: RunningGateway, **query: str) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=patient(SOON)) as http:
        return await http.get(gateway.http_url("/jmap/changes"), params={"account": "alice", **query})


async def test_who_asked_is_told_of_an_outage_and_of_its_end() -> None:
    log = await opened(UnreliableLog(8))
    async with (
        running_gateway(log=log) as gateway,
        jmap_client(gateway.url()) as asking,
        jmap_client(gateway.url()) as standard,
        jmap_client(gateway.url()) as late,
        event_stream(gateway.http_url("/jmap/eventsource", "account=alice&status=yes")) as stream,
        event_stream(gateway.http_url("/jmap/eventsource")) as plain,
    ):
        await subscribe(asking)
        assert await asking.changed() == {}
        assert await standard.subscribe() == {}
        for each in (stream, plain):
            await each.event()
        cursor = (await poll(gateway)).json()["pushState"]
        waiting = asyncio.create_task(poll(gateway, since=cursor, wait="300"))

        log.accepts = False
        assert await asking.receive(SOON) == STALLED
        event = await stream.event()
        assert event is not None
        assert (event.type, event.id, event.data) == ("status", None, STALLED)
        refused = await waiting
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        # Who comes meanwhile is told at once.
        await subscribe(late)
        assert STALLED in (await late.receive(SOON), await late.receive(SOON))
        assert (await poll(gateway, since=cursor, wait="300")).status_code == 503

        log.accepts = True
        assert await asking.receive(SOON) == OVER
        assert await late.receive(SOON) == OVER
        event = await stream.event()
        assert event is not None
        assert event.data == OVER
        await gateway.publish("alice", {"Email": "s1"})
        for client in (asking, standard, late):
            assert await client.changed(SOON) == {"alice": {"Email": "s1"}}
        assert await plain.changed() == {"alice": {"Email": "s1"}}
        answer = await poll(gateway, since=cursor)
        assert answer.json()["changed"] == {"alice": {"Email": "s1"}}
    await log.close()
