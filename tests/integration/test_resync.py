"""`tidings resync` against a publisher that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.clients import JmapClient, jmap_client
from tests.support.metrics import Scrape
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings
from tests.support.publisher import Log, Running, Start
from tidings.cli import main
from tidings.wire.batch import decode
from tidings.wire.change import ACCOUNT_CHANGED


async def resync(*flags: str) -> int:
    return await asyncio.to_thread(main, ["resync", *flags])


@pytest.fixture
async def url(start: Start) -> str:
    running: Running = await start()
    return f"http://127.0.0.1:{running.port}"


async def test_accounts_of_flags_and_file(url: str, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("".join(f"user{number}\n" for number in range(1500)))
    assert await resync("--ingest-url", url, "--account", "alice,bob", "--accounts-file", str(file)) == 0
    await log.until(*((name, ACCOUNT_CHANGED) for name in ("alice", "bob", "user0", "user1499")))


async def test_everybody_and_another_publisher_where_one_is_away(
    url: str, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await resync("--ingest-url", f"http://127.0.0.1:{free_ports(1)[0]},{url}", "--everybody") == 0
    assert capsys.readouterr().out == "accepted: the clients are asked to resynchronise\n"
    assert any(decode(payload).is_reset for _, payload in log.log._shards[0].entries)


async def test_a_publisher_that_does_not_answer_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--ingest-url", f"http://127.0.0.1:{free_ports(1)[0]}", "--everybody", "--timeout-seconds", "0.6")
    assert await resync(*flags) == 1
    assert capsys.readouterr().err.endswith("does not answer: nothing listens there\n")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "give either --everybody, or accounts"),
        (("--everybody", "--account", "a"), "give either --everybody, or accounts"),
        (("--accounts-file", "/nonexistent"), "--accounts-file /nonexistent: "),
        (("--accounts-file", "/dev/null"), "--accounts-file /dev/null: names no account"),
        (("--everybody", "--ingest-url", ","), "must be a URL"),
    ],
)
async def test_what_is_wrong_with_the_flags(
    flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await resync(*flags) == 2
    assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidings]:
    directory = tmp_path_factory.mktemp("up")
    with tidings("up", "--maildir", str(directory / "mail"), "--state-dir", str(directory / "state")) as up:
        yield up


RESYNC = {"Email", "Mailbox", "Thread"}


async def told_to_look(client: JmapClient) -> set[str]:
    """The types that it is told to fetch again."""
    ((_, states),) = (await client.changed()).items()
    assert all(state.startswith("resync-") for state in states.values())
    return set(states)


async def test_clients_look_who_are_there_and_who_come_back(up: Tidings) -> None:
    ws = up.url("gateway", "/jmap/ws?account=", "ws")
    async with jmap_client(f"{ws}alice") as alice, jmap_client(f"{ws}bob") as bob, jmap_client(f"{ws}carol") as carol:
        for client in (alice, bob, carol):
            assert await client.subscribe() == {}
        before = carol.cursor
        await carol.socket.close()
        assert await resync("--ingest-url", up.url("ingest"), "--account", "alice") == 0
        assert await told_to_look(alice) == RESYNC
        assert await bob.is_silent()
        assert await resync("--ingest-url", up.url("ingest"), "--everybody") == 0
        assert await told_to_look(alice) == RESYNC
        assert await told_to_look(bob) == RESYNC
        async with jmap_client(f"{ws}carol") as back:
            changed = await back.subscribe(since=before)
            assert set(changed["carol"]) == RESYNC
            since = back.cursor
        async with jmap_client(f"{ws}carol") as again:
            assert await again.subscribe(since=since) == {}, "once is enough"
    async with httpx2.AsyncClient() as http:
        scrape = Scrape((await http.get(up.url("probe", "/metrics"))).text)
    assert scrape.by("tidings_resyncs_total", "reason")["source"] == 4


async def test_an_event_has_the_clients_of_its_account_look(up: Tidings) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/t", "type": "mail.AccountChanged", "subject": "dave"}
    async with jmap_client(up.url("gateway", "/jmap/ws?account=dave", "ws")) as dave:
        assert await dave.subscribe(["Email", "EmailDelivery", "Quota"]) == {}
        headers = {"Content-Type": "application/cloudevents+json"}
        async with httpx2.AsyncClient() as http:
            answer = await http.post(up.url("ingest", "/v1/changes"), json=event, headers=headers)
        assert answer.status_code == 202
        assert await told_to_look(dave) == {"Email", "Quota"}
