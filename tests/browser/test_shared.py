"""SharedClient: one connection for all tabs of a real browser, at a real gateway."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext

from tests.browser.clientpage import serve_page
from tests.browser.conftest import deadline
from tests.browser.firefox import firefox
from tests.browser.tabs import ChromiumTab, Tab, process_of
from tests.support.connections import accounts_of
from tests.support.freezing import freeze
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tidings.wire.shard import shard_of

TABS = 8
JOINING = 60
"""Changes while a tab joins: of twice as many data types a gateway tells whoever has missed them all (MAX_TYPES)."""
_START = """(async () => {
    const { SharedClient } = await import("/tidings.js");
    window.told = [];
    window.client = new SharedClient({
        url: "/jmap/ws?account=alice",
        onChange: (changed) => told.push({ changed }),
        onStatus: (status) => told.push(status),
        onCursor: (cursor) => { window.kept = cursor; },
        ...OPTIONS,
    });
})()"""
_TYPES = "told.flatMap(({ changed }) => Object.keys(changed?.alice ?? {}))"
_LEAVE = "void dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))"
_COME_BACK = "void dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
_FETCHES = "told.filter(({ state, resumed }) => state === 'connected' && !resumed).length"


@dataclass
class Group:
    """The tabs of a browser that share a connection, and their gateway."""

    gateway: RunningGateway
    open_tab: Callable[[str], Awaitable[Tab]]
    tabs: list[Tab] = field(default_factory=list)
    published: list[str] = field(default_factory=list)

    async def join(self, options: str = "{}") -> Tab:
        tab = await self.open_tab(f"http://127.0.0.1:{self.gateway.port}/")
        await tab.evaluate(_START.replace("OPTIONS", options))
        self.tabs.append(tab)
        return tab

    async def connected(self) -> None:
        await self.everywhere("client.status.state === 'connected'")

    async def everywhere(self, expression: str) -> None:
        """Wait until it is true in every tab."""
        for tab in self.tabs:
            await until(tab, expression)

    async def publish(self) -> None:
        """Change a data type of its own, so that nothing is merged into it."""
        name = f"Type{len(self.published)}"
        self.published.append(name)
        await self.gateway.publish("alice", {name: "1"})

    async def told(self) -> None:
        """Wait until every tab has been told of every change."""
        await self.everywhere(f"{self.published}.every((name) => {_TYPES}.includes(name))")

    async def leader(self) -> Tab:
        leaders = [tab for tab in self.tabs if await tab.evaluate("client.leads")]
        assert len(leaders) == 1
        return leaders[0]

    @property
    def connections(self) -> float:
        formats = ("websocket", "eventsource", "poll")
        read = self.gateway.registry.get_sample_value
        return sum(read("tidings_connections_open", {"format": name}) or 0 for name in formats)


async def until(tab: Tab, expression: str) -> None:
    try:
        async with asyncio.timeout(2 * deadline()):
            while not await tab.evaluate(expression):
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{expression} stays false; the tab was told {await tab.evaluate('told')}")


async def counted(group: Group, connections: int) -> None:
    async with asyncio.timeout(deadline()):
        while group.connections != connections:
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(loop_scope="session", params=["chromium", "firefox"])
async def group(request: pytest.FixtureRequest, context: BrowserContext, tmp_path: Path) -> AsyncIterator[Group]:
    if request.param == "chromium":
        async with in_chromium(context) as group:
            yield group
    else:
        async with running_gateway(fallback=serve_page) as gateway, firefox(tmp_path) as browser:
            yield Group(gateway, browser.open)


@asynccontextmanager
async def in_chromium(context: BrowserContext, **settings: Any) -> AsyncIterator[Group]:
    async def open_tab(url: str) -> Tab:
        page = await context.new_page()
        await page.goto(url)
        return ChromiumTab(page)

    async with running_gateway(fallback=serve_page, **settings) as gateway:
        yield Group(gateway, open_tab)
        await context.close()


async def close(tab: Tab) -> None:
    await tab.close()


async def crash(tab: Tab) -> None:
    os.kill(await process_of(tab), signal.SIGKILL)


async def test_eight_tabs_have_one_connection_and_lose_nothing_when_the_leader_goes(group: Group) -> None:
    for _ in range(TABS):
        await group.join()
    await group.connected()
    await group.publish()
    await group.told()
    assert group.connections == 1
    assert group.gateway.value("tidings_connections_opened_total", format="websocket") == 1

    for end in (close, crash):
        leader = await group.leader()
        await end(leader)
        group.tabs.remove(leader)
        for _ in range(3):
            await group.publish()
        await group.told()
        await counted(group, 1)

    frozen = await group.leader()
    process = await process_of(frozen)
    freeze(process)
    try:
        group.tabs.remove(frozen)
        for _ in range(3):
            await group.publish()
        await group.told()
    finally:
        os.kill(process, signal.SIGCONT)
    # Nobody had to fetch everything again.
    assert [await tab.evaluate(_FETCHES) for tab in group.tabs] == [1] * (TABS - 3)
    await until(frozen, "!client.leads")
    await counted(group, 1)
    await group.publish()
    await group.told()
    # What it has missed it was told, or to fetch everything.
    await until(frozen, f"{_TYPES}.includes('{group.published[-1]}')")
    missed = await frozen.evaluate(f"{group.published}.filter((name) => !{_TYPES}.includes(name))")
    assert missed == [] or await frozen.evaluate(_FETCHES) > 1


async def test_without_locks_each_tab_has_a_connection(group: Group) -> None:
    for _ in range(2):
        await group.join("(Object.defineProperty(navigator, 'locks', { value: undefined }), {})")
    await group.connected()
    await group.publish()
    await group.told()
    assert group.connections == 2


async def test_a_tab_that_comes_back_leads_or_follows_and_has_missed_nothing(group: Group) -> None:
    for _ in range(2):
        await group.join()
    await group.connected()
    await group.publish()
    await group.told()
    gone = await group.leader()
    (other,) = (tab for tab in group.tabs if tab is not gone)
    knows = await gone.evaluate("client.cursor")
    await until(other, f"client.cursor === {json.dumps(knows)}")
    shards = group.gateway.log.shards
    neighbour, _ = accounts_of(shard_of("alice", shards), shards)
    # The log goes on meanwhile, as it does within 3 s by itself: the next leader begins with another cursor.
    await group.gateway.publish(neighbour, {"Email": "1"})
    await gone.evaluate(_LEAVE)
    await until(other, "client.leads && client.status.state === 'connected'")
    await until(other, f"client.cursor !== {json.dumps(knows)}")
    await counted(group, 1)
    await gone.evaluate(_COME_BACK)
    await until(gone, "client.status.state === 'connected'")
    assert await gone.evaluate("client.status.resumed")
    await group.publish()
    await group.told()
    assert group.connections == 1
    assert await other.evaluate(_FETCHES) == 1

    await gone.evaluate(_LEAVE)
    await group.publish()
    await until(other, f"{_TYPES}.includes('{group.published[-1]}')")
    await gone.evaluate(_COME_BACK)
    await until(gone, "client.status.state === 'connected'")
    assert not await gone.evaluate("client.status.resumed")


async def test_a_stopped_tab_lets_the_others_go_on(group: Group) -> None:
    for _ in range(3):
        await group.join()
    await group.connected()
    stopped = await group.leader()
    await stopped.evaluate("client.stop()")
    group.tabs.remove(stopped)
    await group.publish()
    await group.told()
    assert await stopped.evaluate("told.at(-1)") == {"state": "stopped"}
    await counted(group, 1)
    for tab in group.tabs:
        await tab.evaluate("client.stop()")
    await counted(group, 0)


ACCOUNTS = ("alice", "bob", "carol")


def wants(types: list[str] | None, accounts: list[str], known: tuple[str, ...] = ACCOUNTS) -> str:
    """Options of a tab that gets its tokens from who knows these accounts."""
    tokens = {
        ",".join(some): jwt.encode({"sub": some[0], "accounts": some[1:], "exp": time.time() + 600}, SECRET, "HS256")
        for size in range(1, len(known) + 1)
        for some in itertools.combinations(known, size)
    }
    wanted = json.dumps({"types": types, "accounts": accounts})
    return f"""{{
        ...{wanted},
        url: ({{ accounts }}) => `/jmap/ws?access_token=${{({json.dumps(tokens)})[accounts.join()]}}`,
    }}"""


_TOLD = "told.flatMap(({ changed }) => Object.entries(changed ?? {}))"
_KNOWN = f"{_TOLD}.reduce((known, [name, states]) => ({{ ...known, [name]: {{ ...known[name], ...states }} }}), {{}})"


async def test_what_all_tabs_need_is_subscribed_to_and_each_is_told_its_part(context: BrowserContext) -> None:
    async with in_chromium(context, auth="jwt", jwt_secret=SECRET) as group:
        alice = await group.join(wants(["Email", "Thread"], ["alice"]))
        await group.connected()
        bob = await group.join(wants(["Mailbox"], ["alice", "bob"]))
        both = await group.join(wants(["Mailbox", "Email"], ["bob"]))
        await group.connected()
        for account in ("bob", "alice"):
            await group.gateway.publish(account, {"Email": "e", "Mailbox": "m", "Thread": "t"})
        for tab, expected in (
            (alice, {"alice": {"Email": "e", "Thread": "t"}}),
            (bob, {"alice": {"Mailbox": "m"}, "bob": {"Mailbox": "m"}}),
            (both, {"bob": {"Email": "e", "Mailbox": "m"}}),
        ):
            async with asyncio.timeout(deadline()):
                # A cursor that knew nothing of bob makes the gateway tell a state that nobody has, first.
                while await tab.evaluate(_KNOWN) != expected:
                    await asyncio.sleep(0.05)
        await counted(group, 1)


async def test_nothing_is_missed_while_a_tab_adds_what_it_needs(context: BrowserContext) -> None:
    async with in_chromium(context, auth="jwt", jwt_secret=SECRET) as group:
        await group.join(wants(None, ["alice"]))
        await group.connected()
        for account in ("bob", "carol"):
            joining = asyncio.create_task(group.join(wants(None, [account])))
            most = len(group.published) + JOINING
            while not joining.done():
                if len(group.published) < most:
                    await group.publish()
                await asyncio.sleep(0.02)
        await group.publish()
        first = group.tabs[0]
        await until(first, f"{group.published}.every((name) => {_TYPES}.includes(name))")
        assert await first.evaluate(_FETCHES) == 1


async def test_a_tab_that_wants_what_is_refused_is_told_so_alone(context: BrowserContext) -> None:
    async with in_chromium(context, auth="jwt", jwt_secret=SECRET) as group:
        good = await group.join(wants(["Email"], ["alice"]))
        await group.connected()
        bad = await group.join(wants(["no such thing"], ["alice"]))
        await until(bad, "client.status.state === 'stopped'")
        assert "dataTypes" in await bad.evaluate("client.status.error")
        await until(good, "client.status.state === 'connected'")
        await group.gateway.publish("alice", {"Email": "e"})
        await until(good, f"{_TOLD}.length === 1")


def gated(types: list[str]) -> str:
    """Options of a tab whose URL comes when `gate` does, and tells what it was `asked` for."""
    url = "async ({ types }) => { asked.push(...types); await gate; return '/jmap/ws?account=alice'; }"
    return f"{{ types: {json.dumps(types)}, accounts: ['alice'], url: {url} }}"


async def test_of_several_tabs_that_came_at_once_only_the_refused_one_stops(context: BrowserContext) -> None:
    async with in_chromium(context) as group:
        leader = await group.open_tab(f"http://127.0.0.1:{group.gateway.port}/")
        await leader.evaluate("void (window.asked = [], window.gate = new Promise((go) => { window.go = go; }))")
        await leader.evaluate(_START.replace("OPTIONS", gated(["Email"])))
        bad, good = [await group.join(gated(types)) for types in (["no such thing"], ["Mailbox"])]
        await until(leader, "asked.includes('no such thing') && asked.includes('Mailbox')")
        await leader.evaluate("go()")
        await until(bad, "client.status.state === 'stopped'")
        for tab in (leader, good):
            await until(tab, "client.status.state === 'connected'")
        await group.gateway.publish("alice", {"Email": "e", "Mailbox": "m"})
        await until(leader, f"{_TYPES}.includes('Email')")
        await until(good, f"{_TYPES}.includes('Mailbox')")


async def test_a_tab_for_which_there_is_no_url_keeps_the_others_waiting_until_it_goes(context: BrowserContext) -> None:
    async with in_chromium(context) as group:
        url = "({ types }) => { if (types.includes('Mailbox')) throw Error('none'); return '/jmap/ws?account=alice'; }"
        good = await group.join(f"{{ types: ['Email'], url: {url} }}")
        await group.connected()
        bad = await group.join(f"{{ types: ['Mailbox'], url: {url} }}")
        await until(good, "client.status.state === 'waiting'")
        await bad.evaluate("client.stop()")
        await until(good, "client.status.state === 'connected'")


async def test_a_tab_that_missed_a_message_fetches_also_if_another_one_comes_before_the_next(
    context: BrowserContext,
) -> None:
    async with in_chromium(context) as group:
        leader = await group.join()
        await group.connected()
        deaf = await group.open_tab(f"http://127.0.0.1:{group.gateway.port}/")
        await deaf.evaluate("""void (window.BroadcastChannel = class extends BroadcastChannel {
            set onmessage(heard) {
                super.onmessage = (message) => {
                    if (!window.deaf) heard(message);
                    else window.missed = message.data.news?.cursor;
                };
            }
        })""")
        await deaf.evaluate(_START.replace("OPTIONS", "{}"))
        await until(deaf, f"{_FETCHES} === 1")
        await deaf.evaluate("window.deaf = true")
        await group.publish()
        await until(leader, f"{_TYPES}.length === 1 && kept === client.cursor")
        # It comes to another process, and later than to the leader itself.
        await until(deaf, f"missed === {json.dumps(await leader.evaluate('kept'))}")
        await deaf.evaluate("window.deaf = false")
        await group.join()
        await until(deaf, f"{_FETCHES} === 2")


async def test_a_leader_that_gives_way_lets_go_of_the_lock(context: BrowserContext) -> None:
    """As of two that have taken it from a frozen one in the same moment."""
    async with in_chromium(context) as group:
        leader = await group.join()
        await group.connected()
        other = await group.join()
        await group.connected()
        await other.evaluate("""void (() => {
            window.stolen = 0;
            const { request } = LockManager.prototype;
            LockManager.prototype.request = function (name, options, ...more) {
                stolen += options.steal === true;
                return request.call(this, name, options, ...more);
            };
            new BroadcastChannel("tidings/1 " + location.origin + "/jmap/ws?account=alice").postMessage({
                news: { who: true }, needs: { types: null, accounts: null }, leader: "another", term: Date.now() + 1000,
            });
        })()""")
        await until(other, "client.leads && client.status.state === 'connected'")
        assert await other.evaluate("stolen") == 0
        await group.publish()
        await until(leader, f"{_TYPES}.length === 1")


async def test_a_leader_whose_token_is_refused_does_not_end_the_others(context: BrowserContext) -> None:
    async with in_chromium(context, auth="jwt", jwt_secret=SECRET) as group:
        held = """navigator.locks.request("tidings/1 ", () => new Promise((go) => { window.go = go; }))"""
        bad = await group.open_tab(f"http://127.0.0.1:{group.gateway.port}/")
        await bad.evaluate(f"void {held}")
        await bad.evaluate(_START.replace("OPTIONS", "{ url: () => '/jmap/ws?access_token=none' }"))
        good = await group.join(wants(["Email"], ["alice"]))
        await bad.evaluate("go()")
        await until(good, "client.status.state === 'connected'")
        status = await bad.evaluate("client.status")
        assert (status["state"], status["httpStatus"]) == ("stopped", 401)
