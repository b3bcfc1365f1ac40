"""Event streams and polls: the same parked connection and the same cursor as the WebSocket's."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlencode

import httpx2
import jwt
import pytest

from tests.support.clients import DEADLINE, event_stream, eventually, jmap_client, raw_client
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.waiting import patient, promised, within
from tidings.bus.memory import MemoryLog
from tidings.gateway.formats.parked import Parked

STREAM = "/jmap/eventsource"
CHANGES = "/jmap/changes"
NOTHING = {"@type": "StateChange", "changed": {}}


def stream_url(gateway: RunningGateway, **query: str) -> str:
    return gateway.http_url(STREAM, urlencode({"account": "alice", **query}))


async def poll(gateway: RunningGateway, etag: str | None = None, **query: str) -> httpx2.Response:
    headers = {} if etag is None else {"If-None-Match": etag}
    async with httpx2.AsyncClient(timeout=patient(DEADLINE)) as client:
        return await client.get(gateway.http_url(CHANGES, urlencode({"account": "alice", **query})), headers=headers)


async def first_cursor(gateway: RunningGateway) -> str:
    """A cursor of now, as a client gets its first one."""
    answer = await poll(gateway)
    assert answer.status_code == 200
    assert answer.json()["changed"] == {}
    return str(answer.json()["pushState"])


async def test_connections_of_each_format_are_counted_before_the_first_client_comes() -> None:
    """An autoscaler takes a gateway without a number for one that is not there."""
    async with running_gateway() as gateway:
        for metric in ("tidings_connections_open", "tidings_connections_opened_total"):
            each = [gateway.value(metric, format=handler.wire_format) for handler in Parked.__subclasses__()]
            assert each == [0, 0, 0]


async def test_an_event_stream_begins_with_its_cursor_and_tells_every_change() -> None:
    async with running_gateway() as gateway, event_stream(stream_url(gateway)) as stream:
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-store, no-transform"
        hello = await stream.event()
        assert hello is not None
        assert (hello.type, hello.data) == ("cursor", NOTHING)
        assert hello.id
        await gateway.publish("alice", {"Email": "s1", "Mailbox": "m1"})
        assert await stream.changed() == {"alice": {"Email": "s1", "Mailbox": "m1"}}
        assert stream.cursor != hello.id
        assert gateway.value("tidings_connections_open", format="eventsource") == 1


async def test_an_event_stream_begins_while_its_first_event_has_to_wait() -> None:
    async with running_gateway(log=MemoryLog(shards=1)) as gateway, raw_client(gateway.port) as client:
        target = stream_url(gateway).removeprefix(f"http://127.0.0.1:{gateway.port}")
        await client.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert await client.status() == 200
        async with within(DEADLINE):
            assert await client.reader.readline() == b":\n"
            assert await client.reader.readline() == b"\n"


async def test_types_not_asked_for_are_not_told() -> None:
    async with running_gateway() as gateway, event_stream(stream_url(gateway, types="Mailbox,Quota")) as stream:
        await stream.event()
        await gateway.publish("alice", {"Email": "e"})
        await gateway.publish("alice", {"Email": "e2", "Mailbox": "m2"})
        assert await stream.changed() == {"alice": {"Mailbox": "m2"}}


async def test_closeafter_counts_only_events_that_name_a_change() -> None:
    async with running_gateway() as gateway, event_stream(stream_url(gateway, closeafter="state")) as stream:
        hello = await stream.event()
        assert hello is not None
        await gateway.publish("alice", {"Email": "1"})
        assert await stream.changed() == {"alice": {"Email": "1"}}
        assert await stream.event() is None
        assert gateway.value("tidings_connections_closed_total", format="eventsource", reason="told") == 1


async def test_who_reconnects_with_the_last_event_id_is_told_what_was_missed() -> None:
    async with running_gateway() as gateway:
        async with event_stream(stream_url(gateway)) as stream:
            await stream.event()
        assert stream.cursor is not None
        await gateway.publish("alice", {"Email": "1"})
        await gateway.publish("alice", {"Email": "2", "Thread": "3"})
        async with event_stream(stream_url(gateway, closeafter="state"), Last_Event_ID=stream.cursor) as stream:
            assert await stream.changed() == {"alice": {"Email": "2", "Thread": "3"}}
            assert await stream.event() is None


async def test_a_ping_comes_when_asked_for_and_never_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.codecs.eventsource.MIN_PING_SECONDS", 1)
    monkeypatch.setattr("tidings.gateway.formats.eventsource.REFRESH_SECONDS", 3.0)
    async with (
        running_gateway(head_seconds=0.3) as gateway,
        event_stream(stream_url(gateway, ping="1")) as pinged,
        event_stream(stream_url(gateway, ping="0")) as quiet,
    ):
        await pinged.event()
        await quiet.event()
        pings = 0
        while pings < 2:
            ping = await pinged.event()
            assert ping is not None
            if ping.type == "cursor":
                # A fresh one may be due before a ping that is late.
                continue
            assert (ping.type, ping.id, ping.data) == ("ping", None, {"interval": 1})
            pings += 1
        refreshed = await quiet.event()
        assert refreshed is not None
        assert (refreshed.type, refreshed.id, refreshed.data) == ("cursor", quiet.cursor, NOTHING)


async def test_one_cursor_serves_every_transport() -> None:
    async with running_gateway() as gateway:
        async with jmap_client(gateway.url()) as client:
            await client.subscribe()
        assert client.cursor
        await gateway.publish("alice", {"Email": "1"})
        async with event_stream(stream_url(gateway), Last_Event_ID=client.cursor) as stream:
            assert await stream.changed() == {"alice": {"Email": "1"}}
        assert (await poll(gateway, since=str(stream.cursor))).status_code == 304
        await gateway.publish("alice", {"Email": "2"})
        answer = await poll(gateway, since=str(stream.cursor))
        assert answer.json()["changed"] == {"alice": {"Email": "2"}}
        async with jmap_client(gateway.url()) as client:
            assert await client.subscribe(since=answer.json()["pushState"]) == {}


async def test_a_poll_is_304_until_something_changed() -> None:
    async with running_gateway() as gateway:
        cursor = await first_cursor(gateway)
        nothing = await poll(gateway, since=cursor)
        assert (nothing.status_code, nothing.content) == (304, b"")
        assert nothing.headers["etag"] == f'"{cursor}"'
        assert nothing.headers["cache-control"] == "no-store, no-transform"
        assert (await poll(gateway, etag=f'"{cursor}"')).status_code == 304
        assert (await poll(gateway, etag=f'W/"{cursor}"')).status_code == 304

        await gateway.publish("alice", {"Email": "1"})
        await gateway.publish("alice", {"Mailbox": "2"})
        answer = await poll(gateway, etag=f'"{cursor}"')
        assert answer.status_code == 200
        assert answer.json()["changed"] == {"alice": {"Email": "1", "Mailbox": "2"}}
        assert answer.headers["etag"] == f'"{answer.json()["pushState"]}"'
        assert (await poll(gateway, etag=answer.headers["etag"])).status_code == 304
        assert (await poll(gateway, since=cursor, types="Quota")).status_code == 304
        assert gateway.value("tidings_polls_answered_total", status="304") == 5
        assert gateway.value("tidings_polls_answered_total", status="200") == 2


async def test_a_cursor_that_is_not_known_resynchronises_the_poll() -> None:
    async with running_gateway() as gateway:
        answer = await poll(gateway, since="garbage", types="Email")
        assert answer.status_code == 200
        assert answer.json()["changed"]["alice"]["Email"].startswith("resync-")


async def test_a_long_poll_is_answered_by_the_change() -> None:
    async with running_gateway() as gateway:
        cursor = await first_cursor(gateway)
        waiting = asyncio.create_task(poll(gateway, since=cursor, wait="60"))
        await eventually(lambda: gateway.value("tidings_connections_open", format="poll") == 1)
        await gateway.publish("bob", {"Email": "other"})
        await gateway.publish("alice", {"Email": "1"})
        answer = await waiting
        assert answer.status_code == 200
        assert answer.json()["changed"] == {"alice": {"Email": "1"}}
        assert gateway.value("tidings_connections_open", format="poll") == 0
        assert gateway.value("tidings_polls_avoided_total") > 0


async def test_a_long_poll_that_missed_something_is_answered_at_once() -> None:
    async with running_gateway() as gateway:
        cursor = await first_cursor(gateway)
        await gateway.publish("alice", {"Email": "1"})
        answer = await poll(gateway, since=cursor, wait="60")
        assert answer.json()["changed"] == {"alice": {"Email": "1"}}


async def test_a_long_poll_ends_with_304_and_a_fresh_cursor() -> None:
    async with running_gateway(log=(log := MemoryLog(shards=1))) as gateway:
        await log.open()
        cursor = await first_cursor(gateway)
        waiting = asyncio.create_task(poll(gateway, since=cursor, wait="1"))
        await eventually(lambda: gateway.value("tidings_connections_open", format="poll") == 1)
        await gateway.publish("bob", {"Email": "of the same shard"})
        answer = await waiting
        assert answer.status_code == 304
        assert answer.headers["etag"] != f'"{cursor}"'


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        (STREAM, "ping=often", "ping"),
        (STREAM, "closeafter=never", "closeafter"),
        (STREAM, "types=", "types"),
        (CHANGES, "wait=long", "wait"),
        (CHANGES, "types=a,,b", "types"),
    ],
)
async def test_what_is_wrong_is_named(path: str, query: str, named: str) -> None:
    async with running_gateway() as gateway, httpx2.AsyncClient() as client:
        answer = await client.get(gateway.http_url(path, f"account=alice&{query}"))
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert named in answer.json()["detail"]
        assert (await client.post(gateway.http_url(path))).status_code == 405


async def test_without_a_log_a_poll_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.formats.poll.LOG_SECONDS", 0.5)
    closed = MemoryLog(shards=8)
    async with running_gateway(log=closed) as gateway:
        answer = await poll(gateway)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert gateway.value("tidings_polls_answered_total", status="503") == 1


async def test_a_poll_whose_turn_to_resynchronise_does_not_come_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_gateway(resync_rate=0.001) as gateway:
        assert (await poll(gateway, since="none-of-ours")).status_code == 200
        # Not before: the first one waits for its feed.
        monkeypatch.setattr("tidings.gateway.formats.poll.LOG_SECONDS", 0.5)
        answer = await poll(gateway, since="none-of-ours")
        assert answer.status_code == 503
        assert "too many clients resynchronise now" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0
        assert gateway.value("tidings_connections_closed_total", format="poll", reason="resync_waits") == 1


async def test_streams_and_polls_end_with_their_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.auth.claims.LEEWAY_SECONDS", 0)
    async with running_gateway(auth="jwt", jwt_secret=SECRET) as gateway, httpx2.AsyncClient() as client:
        bearer = jwt.encode({"sub": "alice", "exp": time.time() + promised(2)}, SECRET, "HS256")
        session = await client.get(gateway.http_url("/.well-known/jmap"), headers={"Authorization": f"Bearer {bearer}"})
        template = session.json()["eventSourceUrl"]
        url = template.replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "0")
        cursor = (await client.get(gateway.http_url(CHANGES, f"access_token={bearer}"))).json()["pushState"]
        waiting = asyncio.create_task(
            client.get(
                gateway.http_url(CHANGES, f"access_token={bearer}&since={cursor}&wait=60"), timeout=patient(DEADLINE)
            )
        )
        async with event_stream(url) as stream:
            assert await stream.event() is not None
            assert await stream.event() is None
        assert (await waiting).status_code == 304
        assert gateway.value("tidings_connections_closed_total", format="eventsource", reason="token_expired") == 1
        assert (await client.get(url)).status_code == 401


async def test_shutdown_spreads_the_streams_and_answers_the_polls() -> None:
    log = MemoryLog(shards=8)
    await log.open()
    async with running_gateway(log=log) as gateway:
        cursor = await first_cursor(gateway)
        waiting = asyncio.create_task(poll(gateway, since=cursor, wait="60"))
        async with event_stream(stream_url(gateway)) as stream:
            await stream.event()
            await eventually(lambda: gateway.value("tidings_connections_open", format="poll") == 1)
            await gateway.service.stop()
            last = await stream.event()
            assert last is not None
            assert last.retry is not None
            assert 500 <= last.retry < 1_500
            assert await stream.event() is None
        assert (await waiting).status_code == 304


async def test_bytes_behind_a_request_are_not_heard() -> None:
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        request = f"GET {CHANGES}?account=alice HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        await client.send(request + request)
        answer = await client.rest()
        assert answer.count(b"HTTP/1.1 200 OK") == 1
        assert gateway.value("tidings_polls_answered_total", status="200") == 1
