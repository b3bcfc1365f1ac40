"""What happens in the mailboxes of a real Cyrus reaches clients of a real gateway, with the states that Cyrus has."""

from __future__ import annotations

import asyncio
import imaplib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.support.clients import jmap_client
from tests.support.cyrus import MESSAGE, Cyrus
from tests.support.events import event
from tests.support.processes import Tidings, tidings
from tests.support.rabbitmq import Node
from tests.support.waiting import promised, within
from tidings.publisher.sources.journal.writer import JournalWriter

SECONDS = 5.0
MAIL = ("Email", "Mailbox", "Thread")
BLOCKED_SECONDS = 1.0
"""A delivery that takes so long waits for somebody: it takes 5 to 30 ms."""
DELIVERIES = 40
"""Four times as many as a socket's queue has room for datagrams (net.unix.max_dgram_qlen), of two each."""


@dataclass
class Installation:
    """A Cyrus and what tells its users of changes: four processes.

    Each is to be started from the main thread: it ends with the thread that started it.
    """

    cyrus: Cyrus
    directory: Path
    bus: str
    gateway: Tidings
    stack: ExitStack
    publisher: Tidings = field(init=False)
    notify: Tidings = field(init=False)

    @property
    def journal(self) -> Path:
        return self.directory / "journal"

    def start_publisher(self) -> None:
        flags = ("--state-dir", str(self.directory / "state"), "--journal-dir", str(self.journal))
        self.publisher = self.stack.enter_context(tidings("publisher", "--bus", self.bus, *flags))

    def start_notify(self) -> None:
        flags = ("--socket", self.cyrus.notify_socket, "--journal-dir", str(self.journal))
        self.notify = self.stack.enter_context(tidings("cyrus-notify", *flags))

    async def told_everybody(self) -> None:
        """Return once the publisher has said everything that is in the journal."""
        async with within(SECONDS):
            while any(self.journal.iterdir()):
                await asyncio.sleep(0.02)


@pytest.fixture(
    scope="module",
    params=[("3.6", "datagram"), ("3.6", "dlist"), ("3.10", "datagram"), ("3.10", "dlist")],
    ids="-".join,
)
def installation(
    request: pytest.FixtureRequest, broker: Node, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    version, kind = request.param
    with ExitStack() as stack:
        bus = broker.fresh_url()
        gateway = stack.enter_context(tidings("gateway", "--bus", bus, "--coalesce-ms", "0"))
        cyrus = stack.enter_context(Cyrus(version, kind))
        installation = Installation(cyrus, tmp_path_factory.mktemp("cyrus"), bus, gateway, stack)
        installation.start_notify()
        installation.start_publisher()
        yield installation


class Watched:
    """What a client of an account has been told: the states told last, and how often it was told."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.times = 0
        self._grown = asyncio.Event()

    def take(self, changed: dict[str, dict[str, str]]) -> None:
        for types in changed.values():
            # A state of Cyrus's is a number, and never followed by a lower one.
            for name, state in types.items():
                before = self.states.get(name, "")
                assert not (before.isdigit() and state.isdigit()) or int(before) <= int(state), (self.states, types)
            self.states |= types
        self.times += 1
        self._grown.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, which only what comes can change."""
        try:
            async with within(SECONDS):
                while not condition():
                    self._grown.clear()
                    await self._grown.wait()
        except TimeoutError:
            raise AssertionError(f"told of nothing but {self.states}") from None


@asynccontextmanager
async def watching(installation: Installation, account: str = "alice") -> AsyncIterator[Watched]:
    """A client that is subscribed to an account, and has been told of all that happened before."""
    await installation.told_everybody()
    watched = Watched()
    async with jmap_client(installation.gateway.url("gateway", f"/jmap/ws?account={account}", "ws")) as client:
        await client.subscribe()
        # What the gateway has not read yet of what happened before comes before this.
        since = f"since {time.time_ns()}"
        assert JournalWriter(installation.journal).append([event(account, since)])
        while (await client.changed(SECONDS * 10)).get(account, {}).get("Email") != since:
            pass

        async def read() -> None:
            while True:
                watched.take(await client.changed(SECONDS * 10))

        reading = asyncio.create_task(read())
        try:
            yield watched
            assert not reading.done(), reading.exception()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def told_the_states(installation: Installation, watched: Watched) -> None:
    """Wait until the client was told of the states that the server has."""
    states = await asyncio.to_thread(installation.cyrus.states, "alice")
    try:
        await watched.until(lambda: {name: watched.states.get(name) for name in MAIL} == states)
    except AssertionError as error:
        raise AssertionError(f"{error}; the server has {states}") from None


async def test_the_states_that_are_told_are_those_of_the_server(installation: Installation) -> None:
    cyrus = installation.cyrus
    imap = await asyncio.to_thread(cyrus.imap, "alice")
    delivered: str | None = None

    async def step(action: Callable[[], object], delivery: bool = False) -> None:
        """Do it; a client is told of the states that the server then has, and of a delivery only if it was one."""
        nonlocal delivered
        await asyncio.to_thread(action)
        await told_the_states(installation, watched)
        if delivery:
            delivered = watched.states["Email"]
        # What is told twice has the state that it had.
        assert watched.states.get("EmailDelivery") == delivered

    def ok(answer: tuple[str, object]) -> None:
        assert answer[0] == "OK", answer

    def move() -> None:
        imaplib.Commands.setdefault("MOVE", ("SELECTED",))
        ok(imap._simple_command("MOVE", "3", "Archive"))

    def trash_and_expunge() -> None:
        ok(imap.store("1:2", "+FLAGS", "\\Deleted"))
        ok(imap.expunge())

    def flag_over_jmap() -> None:
        (_, found, _), *_ = cyrus.jmap("alice", [["Email/query", {"accountId": "alice"}, "0"]])
        update = {found["ids"][0]: {"keywords/$flagged": True}}
        (_, done, _), *_ = cyrus.jmap("alice", [["Email/set", {"accountId": "alice", "update": update}, "0"]])
        assert done["updated"], done

    async with watching(installation) as watched:
        await step(lambda: cyrus.deliver("alice"), delivery=True)
        await step(lambda: cyrus.deliver("alice", "bob"), delivery=True)
        await step(lambda: ok(imap.append("INBOX", "", "", MESSAGE)))
        await step(lambda: ok(imap.create("Archive")))
        await step(lambda: ok(imap.subscribe("Archive")))
        ok(await asyncio.to_thread(imap.select, "INBOX"))
        await step(lambda: ok(imap.store("1:3", "+FLAGS", "\\Seen")))
        await step(lambda: ok(imap.store("1", "-FLAGS", "\\Seen")))
        await step(lambda: ok(imap.store("1", "+FLAGS", "$Work")))
        await step(lambda: ok(imap.copy("1:2", "Archive")))
        await step(move)
        await step(flag_over_jmap)
        await step(trash_and_expunge)
        ok(await asyncio.to_thread(imap.close))
        await step(lambda: ok(imap.create("Old/Lists")))
        await step(lambda: ok(imap.rename("Archive", "Old/&APw-ber")))
        await step(lambda: ok(imap.unsubscribe("Archive")))
        await step(lambda: ok(imap.rename("Old", "Older")))
        await step(lambda: ok(imap.delete("Older/&APw-ber")))
        await step(lambda: ok(imap.setacl("INBOX", "bob", "lrs")))
    await asyncio.to_thread(imap.logout)


async def test_no_account_hears_of_anothers_changes(installation: Installation) -> None:
    async with watching(installation) as watched, watching(installation, "bob") as bob:
        await asyncio.to_thread(installation.cyrus.deliver, "alice")
        await told_the_states(installation, watched)
        await asyncio.to_thread(installation.cyrus.deliver, "bob")
        await bob.until(lambda: "EmailDelivery" in bob.states)
        assert bob.times == 1


def deliver_many(cyrus: Cyrus, before: Callable[[], object] = lambda: None) -> float:
    """How long the slowest of many deliveries took, in seconds; `before` every tenth of them something is done."""
    slowest = 0.0
    with cyrus.lmtp() as lmtp:
        for number in range(DELIVERIES):
            if number % 10 == 0:
                before()
            began = time.monotonic()
            assert lmtp.sendmail("zoe@mail.example", ["alice"], cyrus.message()) == {}
            slowest = max(slowest, time.monotonic() - began)
    return slowest


@pytest.mark.parametrize("stopped", ["publisher", "cyrus-notify"])
async def test_no_delivery_waits_for_who_is_stopped(installation: Installation, stopped: str) -> None:
    process = installation.publisher if stopped == "publisher" else installation.notify
    async with watching(installation) as watched:
        try:
            stop = partial(os.kill, process.pid, signal.SIGSTOP)
            slowest = await asyncio.to_thread(deliver_many, installation.cyrus, stop)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert slowest < promised(BLOCKED_SECONDS)
        await told_the_states(installation, watched)


async def test_what_the_publisher_missed_is_told_when_it_is_back(installation: Installation) -> None:
    async with watching(installation) as watched:
        installation.publisher.kill()
        slowest = await asyncio.to_thread(deliver_many, installation.cyrus)
        assert slowest < promised(BLOCKED_SECONDS)
        installation.start_publisher()
        await told_the_states(installation, watched)
        assert "EmailDelivery" in watched.states


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_everybody_is_told_to_look_when_nobody_took_notifications_in(
    installation: Installation, end: str
) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(watching(installation, name)) for name in ("alice", "bob")]
        getattr(installation.notify, end)()
        slowest = await asyncio.to_thread(deliver_many, installation.cyrus)
        assert slowest < promised(BLOCKED_SECONDS)
        assert [client.times for client in clients] == [0, 0]
        installation.start_notify()
        for client in clients:
            await client.until(lambda client=client: set(MAIL) <= set(client.states))  # type: ignore[misc]
            assert "EmailDelivery" not in client.states
    async with watching(installation) as watched:
        await asyncio.to_thread(installation.cyrus.deliver, "alice")
        await told_the_states(installation, watched)
