"""Clients that come back, and clients that make a habit of it: what they cost the gateway, and what others notice."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import jwt
import pytest

from tests.support.clients import JmapClient, event_stream, jmap_client
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.unreliable import UnreliableLog
from tests.support.waiting import eventually, patient, within
from tidings.gateway.formats.eventsource import ParkedEventSource
from tidings.gateway.formats.poll import ParkedPoll
from tidings.gateway.model.form import Form
from tidings.wire import cursor
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

SHARDS = 8
MISSED = 30
PATIENCE = 30.0
"""Seconds. A machine may have much else to do."""
PASSES = 5
"""Reads of the log that an account has at once in these tests; each costs at least history.START_SECONDS."""


@pytest.fixture
def _little_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.feeds.window.PART_CHANGES", 0)
    monkeypatch.setattr("tidings.gateway.feeds.window.MAX_PARTS", 16)
    monkeypatch.setattr("tidings.gateway.resume.toll.BURST_SECONDS", PASSES * 0.02)
    monkeypatch.setattr("tidings.gateway.resume.toll.SHARE", 0.01)


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[tuple[RunningGateway, UnreliableLog]]:
    log = UnreliableLog(SHARDS)
    await log.open()
    async with running_gateway(log=log, max_messages_per_second=0, **settings) as gateway:
        yield gateway, log
    await log.close()


def browser() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=patient(PATIENCE))


async def old_cursor(gateway: RunningGateway, account: str) -> str:
    """A cursor that the window does not reach any more, but the log does."""
    async with jmap_client(gateway.url(f"account={account}")) as client:
        await client.subscribe()
        assert client.cursor is not None
        return client.cursor


async def old_cursors(gateway: RunningGateway, count: int) -> list[str]:
    """As many of alice's, no two of them the same."""
    cursors = [await old_cursor(gateway, "alice")]
    for number in range(1, count):
        before = gateway.value("tidings_changes_consumed_total")
        await gateway.publish("alice", {"Email": f"before-{number}"})
        await eventually(lambda: gateway.value("tidings_changes_consumed_total") > before)  # noqa: B023 - now
        cursors.append(await old_cursor(gateway, "alice"))
    return cursors


async def miss(gateway: RunningGateway, *accounts: str) -> None:
    before = gateway.value("tidings_changes_consumed_total")
    for number in range(MISSED):
        for account in accounts:
            await gateway.publish(account, {"Email": f"{account}-{number}"})
    await eventually(lambda: gateway.value("tidings_changes_consumed_total") == before + MISSED * len(accounts))


NEIGHBOUR = next(
    name for name in map(str, range(1000)) if shard_of(name, SHARDS) == shard_of("alice", SHARDS) and name != "alice"
)
"""Another account of Alice's shard."""


async def resumed(client: JmapClient, since: str | None) -> dict[str, Any]:
    """Give a cursor; what was missed."""
    await client.send(**{"@type": "WebSocketPushEnable", "dataTypes": None, "pushState": since})
    return await client.changed(deadline=PATIENCE)


async def is_answered(gateway: RunningGateway, client: JmapClient, since: str) -> bool:
    """Give a cursor; whether what was missed is told, or that has to wait."""
    await client.send(**{"@type": "WebSocketPushEnable", "dataTypes": None, "pushState": since})
    answer = asyncio.ensure_future(client.changed(deadline=PATIENCE))
    async with within(PATIENCE):
        while not answer.done():
            if gateway.value("tidings_resumes_paced"):
                answer.cancel()
                return False
            await asyncio.sleep(0.005)
    assert answer.result() == {"alice": {"Email": f"alice-{MISSED - 1}"}}
    return True


@pytest.mark.usefixtures("_little_window")
@pytest.mark.parametrize("connects_again", [False, True])
async def test_old_cursors_are_read_for_a_few_times_and_then_wait(connects_again: bool) -> None:
    async with opened() as (gateway, log), AsyncExitStack() as stack:
        mine, theirs = await old_cursors(gateway, 4 * PASSES), await old_cursor(gateway, NEIGHBOUR)
        await miss(gateway, "alice", NEIGHBOUR)
        before, answered = log.attached, 0
        client = await stack.enter_async_context(jmap_client(gateway.url()))
        # Time makes up for some.
        while await is_answered(gateway, client, mine[answered]):
            answered += 1
            if connects_again:
                client = await stack.enter_async_context(jmap_client(gateway.url()))
        # On a busy machine one read may take more than one pass.
        assert 1 <= answered <= log.attached - before < 4 * PASSES
        async with jmap_client(gateway.url(f"account={NEIGHBOUR}")) as honest:
            assert await resumed(honest, theirs) == {NEIGHBOUR: {"Email": f"{NEIGHBOUR}-{MISSED - 1}"}}
        async with jmap_client(gateway.url()) as fresh:
            assert await resumed(fresh, None) == {}, "who does not ask for the past does not wait"
        answer = await client.receive(deadline=PATIENCE)
        assert answer["changed"] == {"alice": {"Email": f"alice-{MISSED - 1}"}}, "late, and no resynchronisation"


@pytest.mark.usefixtures("_little_window")
async def test_a_cursor_that_is_given_again_and_again_is_read_for_once() -> None:
    async with opened() as (gateway, log):
        since = await old_cursor(gateway, "alice")
        await miss(gateway, "alice")
        before = log.attached
        for number in range(10 * PASSES):
            async with jmap_client(gateway.url()) as client:
                told = await resumed(client, since)
                assert told == {
                    "alice": {"Email": f"alice-{MISSED - 1}"} | ({"Mailbox": str(number)} if number else {})
                }
            await gateway.publish("alice", {"Mailbox": str(number + 1)})
            await eventually(lambda: gateway.value("tidings_changes_consumed_total") == MISSED + number + 1)  # noqa: B023
        # Once, and again where the window has moved on from what is known meanwhile.
        assert log.attached - before <= PASSES
        assert gateway.value("tidings_resumes_total", outcome="replayed_stream") == 10 * PASSES
        assert gateway.value("tidings_resumes_paced") == 0


@pytest.mark.usefixtures("_little_window")
async def test_a_poll_whose_account_has_to_wait_is_told_so_and_a_page_may_read_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidings.gateway.formats.poll.LOG_SECONDS", 0.5)
    async with opened() as (gateway, _), browser() as client:
        cursors = await old_cursors(gateway, 3 * PASSES)
        await miss(gateway, "alice")
        origin = f"http://127.0.0.1:{gateway.port}"
        answers = [
            await client.get(
                gateway.http_url("/jmap/changes", f"account=alice&since={since}"), headers={"Origin": origin}
            )
            for since in cursors
        ]
        assert answers[0].json()["changed"] == {"alice": {"Email": f"alice-{MISSED - 1}"}}
        late = next(answer for answer in answers if answer.status_code == 503)
        assert "used up its lookups" in late.json()["detail"]
        assert late.headers["retry-after"] == "5"
        assert late.headers["access-control-allow-origin"] == origin


@pytest.mark.usefixtures("_little_window")
async def test_of_the_shards_of_one_client_one_is_read_at_a_time() -> None:
    names: dict[int, str] = {}
    for name in map(str, range(1000)):
        names.setdefault(shard_of(name, SHARDS), name)
    bearer = jwt.encode({"sub": names[0], "accounts": list(names.values()), "exp": time.time() + 600}, SECRET, "HS256")
    async with opened(auth="jwt", jwt_secret=SECRET) as (gateway, log):
        url = gateway.url(f"access_token={bearer}")
        async with jmap_client(url) as client:
            await client.subscribe()
            since = client.cursor
        await miss(gateway, *names.values())
        most, before = 0.0, log.attached
        async with jmap_client(url) as client:
            answer = asyncio.ensure_future(resumed(client, since))
            while not answer.done():
                most = max(most, gateway.value("tidings_stream_reads"))
                await asyncio.sleep(0)
        assert answer.result() == {name: {"Email": f"{name}-{MISSED - 1}"} for name in names.values()}
        assert log.attached - before >= SHARDS
        assert most == 1


async def test_while_the_log_takes_nothing_forged_cursors_leave_nothing() -> None:
    """A gateway that cannot append a marker keeps one question of each client, and none of those who have left."""
    async with opened() as (gateway, log), jmap_client(gateway.url()) as stays:
        await stays.subscribe()
        log.accepts = False
        shard = shard_of("alice", SHARDS)
        forged = [cursor.encode(SHARDS, {shard: Position(2**40 + number, b"none")}) for number in range(300)]
        async with jmap_client(gateway.url()) as forger:
            for since in forged[:20]:
                await forger.send(**{"@type": "WebSocketPushEnable", "dataTypes": None, "pushState": since})
            assert await forger.is_silent()
            few = kept()
            for since in forged[20:]:
                await forger.send(**{"@type": "WebSocketPushEnable", "dataTypes": None, "pushState": since})
            assert await forger.is_silent()
            assert kept() <= few
            assert gateway.value("tidings_resumes_waiting") == 1
        await eventually(lambda: not gateway.value("tidings_resumes_waiting"))
        assert kept() < few
        log.accepts = True
        await gateway.publish("alice", {"Email": "1"})
        assert await stays.changed() == {"alice": {"Email": "1"}}


def kept(*kinds: type) -> int:
    """Resumes and the like in this process, or what else is asked for."""
    gc.collect()
    things = gc.get_objects()
    if kinds:
        return sum(isinstance(thing, kinds) for thing in things)
    return sum(type(thing).__name__ in ("_Resume", "Seeker") for thing in things)


async def test_what_only_some_ask_for_is_gone_with_them() -> None:
    """Odd data types, ping intervals and origins: what is shared between clients lasts for as long as they do."""
    async with (
        opened() as (gateway, _),
        jmap_client(gateway.url()) as stays,
        browser() as client,
    ):
        await stays.subscribe(["Email"])
        before = kept(Form, ParkedEventSource, ParkedPoll)
        async with jmap_client(gateway.url()) as odd:
            for number in range(300):
                assert await odd.subscribe([f"Odd{number}"]) == {}
        for number in range(40):
            url = gateway.http_url("/jmap/eventsource", f"account=alice&types=X{number}&ping={40 + number}")
            async with event_stream(url) as stream:
                await stream.event()
            host = f"a{number}.localhost:{gateway.port}"
            headers = {"Host": host, "Origin": f"http://{host}"}
            answer = await client.get(gateway.http_url("/jmap/changes", "account=alice"), headers=headers)
            assert answer.headers["access-control-allow-origin"] == headers["Origin"]
        await eventually(lambda: gateway.value("tidings_sockets_open") == 1)
        assert kept(Form, ParkedEventSource, ParkedPoll) <= before + 3


async def test_without_room_a_client_is_told_to_come_again_later() -> None:
    async with (
        opened(room=80_000) as (gateway, log),
        AsyncExitStack() as stack,
        browser() as client,
    ):
        first = await stack.enter_async_context(jmap_client(gateway.url()))
        await first.subscribe()
        log.mute(shard_of("alice", SHARDS))
        log.accepts = False
        crowd = [await stack.enter_async_context(jmap_client(gateway.url())) for _ in range(60)]
        since = cursor.encode(SHARDS, {shard_of("alice", SHARDS): Position(2**40, b"none")})
        for one in crowd:
            await one.send(**{"@type": "WebSocketPushEnable", "dataTypes": None, "pushState": since})
        assert (await crowd[-1].closed())[0] == 1013
        answer = await client.get(gateway.http_url("/jmap/changes"))
        assert answer.status_code == 503
        assert "no room" in answer.json()["detail"]
        async with event_stream(gateway.http_url("/jmap/eventsource")) as stream:
            end = await stream.event()
            assert end is not None
            assert end.retry == 5_000
            assert await stream.event() is None
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="no_room") >= 1
        assert await first.is_silent()
