"""What happens in the mailboxes of a real Dovecot reaches clients of a real gateway."""

from __future__ import annotations

import asyncio
import imaplib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.clients import jmap_client
from tests.support.dovecot import MESSAGE, Dovecot
from tests.support.dovecot_server import RELEASES
from tests.support.processes import Tidings, tidings
from tests.support.waiting import eventually, within

TOKEN = "token-of-dovecot-of-tests"
SECONDS = 20.0
MAIL = {"Email", "Mailbox", "Thread"}


@dataclass
class Installation:
    """A Dovecot and all of Tidings in one process, which it tells."""

    dovecot: Dovecot
    up: Tidings

    async def events(self, account: str) -> list[str]:
        """The names of all changes of an account, in log order. What is told twice has one id."""
        async with httpx2.AsyncClient() as http:
            answer = await http.get(self.up.url("admin", f"/debug/accounts/{account}"))
        return list({change["id"]: change["event"] for change in answer.json()["changes"]}.values())

    async def until_delivered(self, account: str) -> None:
        """Wait until a delivery to an account has been told."""
        async with within(SECONDS):
            while "MessageNew" not in await self.events(account):
                await asyncio.sleep(0.02)

    async def requests(self) -> float:
        """How many requests the publisher has taken."""
        async with httpx2.AsyncClient() as http:
            text = (await http.get(self.up.url("probe", "/metrics"))).text
        name = 'tidings_publisher_requests_total{status="202"} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


@pytest.fixture(scope="module", params=sorted(RELEASES))
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("dovecot")
    (directory / "mail").mkdir()
    # Where Dovecot keeps what takes the publisher longer than a second.
    journal = directory / "dovecot" / "journal"
    journal.mkdir(parents=True)
    kept = ("--state-dir", str(directory / "state"), "--journal-dir", str(journal))
    flags = ("--maildir", str(directory / "mail"), *kept, "--coalesce-ms", "0")
    with ExitStack() as stack:
        up = stack.enter_context(tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN}))
        dovecot = stack.enter_context(Dovecot(request.param, directory / "dovecot", up.ports["ingest"], TOKEN))
        yield Installation(dovecot, up)


class Watched:
    """What a client of an account has been told."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.grown = asyncio.Event()

    def take(self, changed: dict[str, dict[str, Any]]) -> None:
        for types in changed.values():
            self.types |= set(types)
        self.grown.set()

    async def until(self, types: set[str]) -> None:
        """Wait until the client has been told of these, and forget them."""
        async with within(SECONDS):
            while not types <= self.types:
                self.grown.clear()
                await self.grown.wait()
        self.types.clear()


@pytest.fixture
async def watched(installation: Installation) -> AsyncIterator[Watched]:
    """A client of alice's."""
    watched = Watched()
    async with jmap_client(installation.up.url("gateway", "/jmap/ws?account=alice", "ws")) as client:
        await client.subscribe()

        async def read() -> None:
            while True:
                watched.take(await client.changed(SECONDS * 10))

        reading = asyncio.create_task(read())
        try:
            yield watched
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def test_every_kind_of_change_reaches_a_client(installation: Installation, watched: Watched) -> None:
    dovecot = installation.dovecot
    imap = await asyncio.to_thread(dovecot.imap, "alice")
    seen = len(await installation.events("alice"))

    async def step(action: Callable[[], object], events: set[str], types: set[str] = MAIL) -> None:
        """Do it; exactly these events follow, and a client is told of these types."""
        nonlocal seen
        await asyncio.to_thread(action)
        async with within(SECONDS):
            while not events <= set((told := await installation.events("alice"))[seen:]):
                await asyncio.sleep(0.02)
        assert set(told[seen:]) == events
        seen = len(told)
        await watched.until(types)

    def store(numbers: str, how: str, flag: str) -> None:
        assert imap.store(numbers, how, flag)[0] == "OK"

    def move() -> None:
        imaplib.Commands.setdefault("MOVE", ("SELECTED",))
        assert imap._simple_command("MOVE", "3", "Archive")[0] == "OK"

    def expunge() -> None:
        assert imap.expunge()[0] == "OK"

    # The first one makes INBOX, too.
    await step(lambda: dovecot.deliver("alice"), {"MailboxCreate", "MessageNew"}, {*MAIL, "EmailDelivery"})
    await step(lambda: dovecot.deliver("alice", "bob"), {"MessageNew"}, {*MAIL, "EmailDelivery"})
    await installation.until_delivered("bob")
    await step(lambda: imap.append("INBOX", "", "", MESSAGE), {"MessageAppend"})
    await step(lambda: imap.create("Archive"), {"MailboxCreate"}, {"Mailbox"})
    await step(lambda: imap.subscribe("Archive"), {"MailboxSubscribe"}, {"Mailbox"})
    await asyncio.to_thread(imap.select, "INBOX")
    await step(lambda: store("1:3", "+FLAGS", "\\Seen"), {"FlagsSet", "MessageRead"})
    await step(lambda: store("1", "-FLAGS", "\\Seen"), {"FlagsClear"})
    await step(lambda: store("1", "+FLAGS", "$Work"), {"FlagsSet"})
    await step(lambda: store("1", "-FLAGS", "$Work"), {"FlagsClear"})
    await step(lambda: imap.copy("1:2", "Archive"), {"MessageAppend"})
    await step(move, {"MessageAppend", "MessageExpunge"})
    await step(lambda: store("1:2", "+FLAGS", "\\Deleted"), {"FlagsSet", "MessageTrash"})
    await step(expunge, {"MessageExpunge"})
    await step(lambda: imap.rename("Archive", "Old"), {"MailboxRename"}, {"Mailbox"})
    await step(lambda: imap.unsubscribe("Archive"), {"MailboxUnSubscribe"}, {"Mailbox"})
    await step(lambda: imap.delete("Old"), {"MessageExpunge", "MailboxDelete"})
    await asyncio.to_thread(imap.logout)
    assert "Error" not in dovecot.said()


async def test_a_transaction_is_one_request(installation: Installation, watched: Watched) -> None:
    imap = await asyncio.to_thread(installation.dovecot.imap, "alice")

    def prepare() -> None:
        imap.create("Many")
        for _ in range(100):
            imap.append("Many", "", "", MESSAGE)
        imap.select("Many")

    await asyncio.to_thread(prepare)
    before = await installation.requests()
    watched.types.clear()
    assert (await asyncio.to_thread(imap.store, "1:100", "+FLAGS", "\\Flagged"))[0] == "OK"
    await watched.until(MAIL)
    assert await installation.requests() == before + 1
    await asyncio.to_thread(imap.logout)


@pytest.mark.parametrize("version", sorted(RELEASES))
async def test_dovecots_own_driver_tells_of_deliveries(version: str, tmp_path: Path) -> None:
    """As it is: for users whose metadata asks for it, and of INBOX only."""
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"), "--coalesce-ms", "0")
    (tmp_path / "mail").mkdir()
    with (
        tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN}) as up,
        Dovecot(version, tmp_path / "dovecot", up.ports["ingest"], TOKEN, "ox") as dovecot,
    ):
        entry = "/private/vendor/vendor.dovecot/http-notify"
        dovecot.doveadm("mailbox", "metadata", "set", "-s", "-u", "alice", "", entry, "user=alice")
        async with jmap_client(up.url("gateway", "/jmap/ws?account=alice", "ws")) as client:
            await client.subscribe()
            await asyncio.to_thread(dovecot.deliver, "alice")
            assert set((await client.changed(SECONDS))["alice"]) == {*MAIL, "EmailDelivery"}
        installation = Installation(dovecot, up)
        assert await installation.events("alice") == ["MessageNew"]
        assert await installation.requests() == 1


@pytest.mark.parametrize("version", sorted(RELEASES))
async def test_a_login_without_an_account_hurts_nobody_else(version: str, tmp_path: Path) -> None:
    account_map = tmp_path / "map.toml"
    account_map.write_text("[[rule]]\nmatch = '(?P<user>[^@]+)@mail.example'\naccount = '{user}'\n")
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
    with (
        tidings("up", *flags, "--account-map", str(account_map), env={"TIDINGS_INGEST_TOKENS": TOKEN}) as up,
        Dovecot(version, tmp_path / "dovecot", up.ports["ingest"], TOKEN) as dovecot,
    ):
        for user in ("alice@elsewhere.example", "alice@mail.example"):
            await asyncio.to_thread(dovecot.deliver, user)
        await Installation(dovecot, up).until_delivered("alice")
        # Dovecot has a process of its own that writes the log.
        await eventually(lambda: "refuses the changes of alice@elsewhere.example: 422" in dovecot.said(), SECONDS)
        assert not os.listdir(dovecot.journal)
