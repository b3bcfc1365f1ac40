"""`/debug/accounts/{account}`: why did this account miss a change?"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any

import httpx2
import pytest

from tests.support.changelog import append_at_last, opened, ready
from tests.support.clients import event_stream, eventually, jmap_client
from tests.support.freezing import freeze
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.processes import tidings
from tests.support.waiting import patient, promised
from tidings.bus.memory import MemoryLog
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.gateway.watching import account_log
from tidings.ops.admin.guard import AdminAccess
from tidings.ops.admin.listeners import guarded
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of


class Operator:
    """Asks the page as the admin listener's thread does."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._app = guarded(gateway.pages, AdminAccess(None))

    async def get(self, account: str = "alice", **query: object) -> httpx2.Response:
        def ask() -> httpx2.Response:
            async def get() -> httpx2.Response:
                transport = httpx2.ASGITransport(self._app)
                async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                    return await http.get(f"/debug/accounts/{account}", params={k: str(v) for k, v in query.items()})

            return asyncio.run(get())

        return await asyncio.to_thread(ask)

    async def document(self, account: str = "alice", **query: object) -> dict[str, Any]:
        answer = await self.get(account, **query)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert isinstance(document, dict)
        return document


@asynccontextmanager
async def watched(**settings: object) -> AsyncIterator[tuple[RunningGateway, Operator]]:
    async with running_gateway(**settings) as gateway:  # type: ignore[arg-type]
        yield gateway, Operator(gateway)


def happened(document: dict[str, Any]) -> list[str]:
    return [note["what"] for note in document["history"]]


async def test_it_tells_the_story_of_a_connection_and_of_its_changes() -> None:
    async with watched() as (gateway, operator):
        async with jmap_client(gateway.url()) as client:
            await client.subscribe(["Email"])
            await gateway.publish("alice", {"Email": "s1"}, at=1_700_000_000.0)
            await client.changed()
            cursor = client.cursor
            document = await operator.document()
            (connection,) = document["connections"]
            assert (connection["format"], connection["state"]) == ("websocket", "subscribed")
            assert connection["types"] == ["Email"]
            assert connection["subscribed_at"] <= connection["told_at"]
            offset = document["changes"][0]["offset"]
            assert document["feed"] == {"live": True, "offset": offset, "cursor": cursor}
            assert happened(document) == ["fresh", "pushed to 1"]
            assert {note["connection"] for note in document["history"]} == {connection["connection"]}
        await eventually(lambda: gateway.value("tidings_sockets_open") == 0)
        await gateway.publish("alice", {"Email": "s2"})
        async with jmap_client(gateway.url()) as client:
            await client.subscribe(since=cursor)
            document = await operator.document()
        before = ["fresh", "pushed to 1", "closed: client_closed (websocket)"]
        assert happened(document) == [*before, "replayed_window", "pushed to 1"]
        first, second = document["changes"]
        assert (first["changed"], first["event"]) == ({"Email": "s1"}, "MessageNew")
        assert first["time"] == "2023-11-14T22:13:20.000Z"
        assert second["offset"] > first["offset"]
        assert document["log"]["fault"] is None
        assert document["log"]["omitted"] == 0


@pytest.mark.parametrize("at", [-62_135_596_860.0, 253_402_387_199.0, float("inf"), float("nan"), -1e300, 1e300])
async def test_a_time_that_no_calendar_has_breaks_neither_page_nor_latencies(at: float) -> None:
    async with watched() as (gateway, operator), jmap_client(gateway.url()) as client:
        await client.subscribe()
        await gateway.publish("alice", {"Email": "s1"}, at=at)
        await client.changed()
        (change,) = (await operator.document())["changes"]
        assert change["changed"] == {"Email": "s1"}
        assert change["time"] is None
        assert gateway.value("tidings_change_to_write_seconds_count") == 0
        assert gateway.value("tidings_change_to_write_seconds_sum") == 0
        assert gateway.value("tidings_clock_skew_total") == 1


async def test_what_others_clocks_say_hides_no_change() -> None:
    async with watched() as (gateway, operator):
        change = Change("alice", {"Email": "s1"}, "MessageNew", "1", "test")
        for stamp in (time.time() + 86_400, time.time() - 86_400, 1e300):
            payload = batch.encode(token_bytes(16), stamp, (change,))
            await gateway.log.append(shard_of("alice", gateway.log.shards), payload)
        document = await operator.document()
        assert len(document["changes"]) == 3
        assert document["changes"][2]["at"] is None


async def test_an_account_that_nobody_is_connected_for_has_its_changes_all_the_same() -> None:
    async with watched() as (gateway, operator):
        await gateway.publish("alice", {"Email": "s1"})
        document = await operator.document()
        assert (document["connections"], document["history"], document["feed"]) == ([], [], None)
        assert [change["changed"] for change in document["changes"]] == [{"Email": "s1"}]
        assert "changes" not in await operator.document(seconds=0)


async def test_it_shows_who_never_subscribed_who_waits_and_what_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.watching.account_page.SLICE", 1)
    async with watched(coalesce_ms=60_000) as (gateway, operator), jmap_client(gateway.url()) as silent:
        assert (await operator.document())["connections"][0]["state"] == "not subscribed"
        async with event_stream(gateway.http_url("/jmap/eventsource")) as stream:
            await stream.event()
            for state in ("s1", "s2"):
                await gateway.publish("alice", {"Email": state})
                # A turn of the loop: what the gateway reads at once it tells at once.
                await asyncio.sleep(0)
            await eventually(lambda: gateway.value("tidings_changes_coalesced_total") == 1)
            document = await operator.document()
            (waiting,) = [one for one in document["connections"] if one["format"] == "eventsource"]
            assert waiting["waiting"] == {"alice": {"Email": "s2"}}
            assert happened(document) == ["fresh", "merged into a waiting push for 1"]
        await silent.send(**{"@type": "WebSocketPushDisable"})


async def test_a_resynchronisation_is_told_with_its_reason() -> None:
    async with watched() as (gateway, operator), jmap_client(gateway.url()) as client:
        await client.subscribe(since="no cursor of ours")
        assert any(what.startswith("resync") and "unknown" in what for what in happened(await operator.document()))


@pytest.mark.parametrize(
    ("account", "query"),
    [
        ("a%0ab", {}),
        ("x" * 256, {}),
        ("alice", {"seconds": -1}),
        ("alice", {"seconds": 86_401}),
        ("alice", {"seconds": "9" * 5_000}),
        ("alice", {"seconds": "²"}),
    ],
)
async def test_what_cannot_be_answered_is_named(account: str, query: dict[str, object]) -> None:
    async with watched() as (_, operator):
        answer = await operator.get(account, **query)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert ("account" if not query else "seconds") in answer.json()["detail"]


async def test_a_main_loop_that_is_stuck_is_said_to_be() -> None:
    async with watched() as (_, operator):
        answers: list[httpx2.Response] = []

        def ask() -> None:
            answers.append(asyncio.run(operator.get()))

        asking = threading.Thread(target=ask)
        asking.start()
        # The main loop, which is this one, does nothing but wait.
        asking.join(20)
        (answer,) = answers
        assert answer.status_code == 503
        assert "the main loop does not answer" in answer.json()["detail"]


async def test_a_log_that_is_away_leaves_everything_else() -> None:
    log = MemoryLog(shards=8)
    async with watched(log=log) as (_, operator):
        document = await operator.document()
        assert "closed" in document["log"]["fault"]
        assert document["changes"] == []


async def test_a_log_is_read_for_one_at_a_time_and_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = promised(0.5)
    monkeypatch.setattr(account_log, "READ_SECONDS", seconds)

    class Endless(MemoryLog):
        async def append(self, shard: int, payload: bytes) -> None:
            """Confirmed, and never to be read."""

    log = Endless(shards=8)
    await log.open()
    async with watched(log=log) as (_, operator):
        both = await asyncio.gather(operator.document(), operator.document())
    assert {document["log"]["fault"] for document in both} == {
        f"reading the log takes more than {seconds:.0f} s: ask for fewer seconds",
        "another request reads the log: try again",
    }


async def test_of_many_changes_the_newest_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched() as (gateway, operator):
        many = account_log.MAX_CHANGES + 3
        for number in range(many):
            await gateway.publish("alice", {"Email": f"s{number}"})
        document = await operator.document()
        assert document["log"]["omitted"] == 3
        assert [change["changed"]["Email"] for change in document["changes"]] == [f"s{n}" for n in range(3, many)]


async def test_all_workers_are_asked_and_one_reads_the_log(bus_url: str, tmp_path: Path) -> None:
    flags = ("--bus", bus_url, "--shards", "2", "--workers", "3")
    with tidings("gateway", *flags) as gateway:
        gateway.wait(lambda: any("workers" in event for event in gateway.events("started")))
        gateway.wait(lambda: httpx2.get(gateway.url("probe", "/readyz")).json()["unready"] == {})
        async with opened(RabbitMQLog(bus_url, 2)) as log, httpx2.AsyncClient(timeout=patient(30)) as http:
            await ready(log)
            change = Change("ü&", {"Email": "s1"}, "FlagsSet", "1", "test", None)
            payload = batch.encode(token_bytes(16), time.time(), (change,))
            await append_at_last(log, shard_of(change.account, 2), payload)
            url = gateway.url("gateway", "/jmap/ws?account=%C3%BC%26", "ws")
            async with jmap_client(url, open_timeout=30) as one, jmap_client(url, open_timeout=30) as other:
                for client in (one, other):
                    await client.subscribe()
                page = gateway.url("admin", "/debug/accounts/%C3%BC%26")
                document = (await http.get(page)).json()
                assert [note["what"] for note in document["history"]] == ["fresh", "fresh"]
                assert len(document["connections"]) == 2
                assert all(one["worker"] in (1, 2, 3) for one in document["connections"])
                assert [one["worker"] for one in document["workers"]] == [1, 2, 3]
                assert [change["changed"] for change in document["changes"]] == [{"Email": "s1"}]
                assert document["log"]["fault"] is None
                assert (await http.get(page, params={"seconds": "x"})).status_code == 400

                stuck = (await http.get(gateway.url("admin", "/workers/"))).json()[0]["pid"]
                freeze(stuck)
                try:
                    document = (await http.get(page)).json()
                finally:
                    os.kill(stuck, signal.SIGCONT)
                assert document["unanswered"] == [1]
                assert [one["worker"] for one in document["workers"]] == [2, 3]
