"""clients/js in Chromium, behind what lets not every transport pass; the gateway is real."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser.clientpage import serve_page, start, state, told, until
from tests.browser.conftest import eventually
from tests.browser.middlebox import Middlebox, Rule, middlebox
from tests.support.clients import jmap_client
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.keys import jwk, key_server, private_key
from tests.support.keys import token as signed
from tests.support.ports import free_ports
from tests.support.tls import make_certificate
from tests.support.unreliable import UnreliableLog
from tidings.bus.memory import MemoryLog
from tidings.gateway import driver
from tidings.gateway.hub import outages

WEBSOCKET = "/jmap/ws"
STREAM = "/jmap/eventsource"
POLL = "/jmap/changes"
TRANSPORTS = {"websocket": WEBSOCKET, "eventsource": STREAM, "poll": POLL}
OPEN_MS = 15_000
PROBE_MS = 10_000
BETTER_MS = 300_000
TICK_MS = 10_000
NO_CURSOR = "no cursor of this log"
COUNTS_HEARD = """() => {
    window.heard = 0;
    window.opened = 0;
    const { read } = ReadableStreamDefaultReader.prototype;
    ReadableStreamDefaultReader.prototype.read = function () {
        const reading = read.call(this);
        reading.then(() => heard++, () => {});
        return reading;
    };
    window.WebSocket &&= class extends WebSocket {
        constructor(...given) {
            super(...given);
            this.addEventListener("open", () => opened++);
            this.addEventListener("message", () => heard++);
        }
    };
}"""


@dataclass
class Site:
    """A page that has loaded the client, its gateway, and what is between them."""

    page: Page
    gateway: RunningGateway
    box: Middlebox

    async def start(self, address: str = f"{WEBSOCKET}?account=alice", **options: Any) -> None:
        await self.move(address)
        await start(self.page, jitter=0.01, **options)

    async def start_waiting(self, transport: str, cursor: str | None = None) -> None:
        """Start with the best transport that this page has; return once the client has waited for longer than usual."""
        if transport == "eventsource":
            await self.page.evaluate("delete window.WebSocket")
        await self.page.evaluate(COUNTS_HEARD)
        await self.start(cursor=cursor)
        await self.parked(transport)
        # The gateway has the connection before the page does.
        await until(self.page, "heard > 0" if transport == "eventsource" else "opened > 0")
        await self.page.clock.fast_forward(OPEN_MS)
        await until(self.page, "heard > 0")
        await self.page.clock.fast_forward(PROBE_MS)
        assert await self.page.evaluate("client.status.state") == "connecting"

    async def move(self, address: str) -> None:
        """Give the client another URL for its next attempt."""
        await self.page.evaluate("(address) => { window.address = address; }", address)

    async def connected(self, transport: str) -> None:
        status = "client.status.state === 'connected' && client.status.transport"
        await until(self.page, f"{status} === '{transport}'")

    async def publish(self, state: str) -> None:
        await self.gateway.publish("alice", {"Email": state})

    async def shows(self, state: str) -> None:
        """Wait until the page has been told of a state."""
        await until(self.page, f"told.some((it) => it.changed?.alice?.Email === '{state}')")

    async def wait(self) -> dict[str, Any]:
        """The status of the first wait, once there was one."""
        await until(self.page, "told.some((it) => it.state === 'waiting')")
        return next(one for one in await self.statuses() if one["state"] == "waiting")

    async def parked(self, transport: str, connections: int = 1) -> None:
        """Wait until the gateway has so many connections of a transport."""
        await self.counts(connections, "tidings_connections_open", format=transport)

    async def counts(self, number: int, metric: str, **labels: str) -> None:
        await eventually(lambda: (self.gateway.registry.get_sample_value(metric, labels) or 0) == number)

    async def statuses(self) -> list[dict[str, Any]]:
        return [one for one in await told(self.page) if isinstance(one, dict) and "state" in one]

    async def states(self) -> list[str]:
        """The states that the page was told of, in their order."""
        return [one["changed"]["alice"]["Email"] for one in await told(self.page) if "changed" in one]


@asynccontextmanager
async def opened(page: Page, **settings: Any) -> AsyncIterator[Site]:
    async with running_gateway(fallback=serve_page, **settings) as gateway, middlebox(gateway.port) as box:
        # It runs, and the test can move it forward.
        await page.clock.install()
        await page.goto(f"http://127.0.0.1:{box.port}/")
        await page.evaluate("import('/tidings.js').then(() => undefined)")
        box.requests.clear()
        yield Site(page, gateway, box)
        # Polls that wait would keep the gateway's end waiting for the page's.
        await page.evaluate("window.client?.stop()")


@asynccontextmanager
async def opened_log(shards: int) -> AsyncIterator[MemoryLog]:
    log = MemoryLog(shards)
    await log.open()
    yield log
    await log.close()


@pytest_asyncio.fixture(loop_scope="session")
async def site(page: Page) -> AsyncIterator[Site]:
    async with opened(page) as site:
        yield site


async def test_where_upgrades_are_refused_an_event_stream_does(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    await site.start()
    await site.connected("eventsource")
    assert site.box.requests == [WEBSOCKET, POLL, WEBSOCKET, POLL, STREAM]
    for number in ("1", "2"):
        await site.publish(number)
        await site.shows(number)
    assert [one["state"] for one in await site.statuses()] == [
        *("connecting", "waiting", "connecting", "waiting"),
        *("connecting", "connected"),
    ]


async def test_where_upgrades_hang_an_event_stream_does_after_one_attempt(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.HANG}
    await site.start()
    await eventually(lambda: site.box.count(WEBSOCKET) == 1)
    await site.page.clock.fast_forward(OPEN_MS)
    await site.connected("eventsource")
    assert site.box.requests == [WEBSOCKET, POLL, STREAM]


async def test_the_time_that_a_url_takes_is_not_the_transports(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.HANG}
    await site.page.evaluate("void (window.address = new Promise((give) => { window.give = give; }))")
    await start(site.page, jitter=0.01)
    await site.page.clock.fast_forward(OPEN_MS - 5_000)
    await site.page.evaluate(f"give('{WEBSOCKET}?account=alice')")
    await eventually(lambda: site.box.count(WEBSOCKET) == 1)
    await site.page.clock.fast_forward(5_000)
    assert await site.page.evaluate("client.status.state") == "connecting"
    assert site.box.requests == [WEBSOCKET]
    await site.page.clock.fast_forward(OPEN_MS)
    await site.connected("eventsource")


async def test_a_client_that_is_stopped_as_it_connects_is_told_nothing(site: Site) -> None:
    await start(site.page, url=f"{WEBSOCKET}?account=alice")
    await site.connected("websocket")
    await site.publish("1")
    await site.shows("1")
    cursor = await site.page.evaluate("told.find((it) => it.cursor).cursor")
    await site.page.evaluate(
        """async ([url, cursor]) => {
            const { TidingsClient } = await import("/tidings.js");
            window.seen = [];
            const stopped = new TidingsClient({
                url, cursor,
                onChange: () => seen.push("change"),
                onStatus: ({ state }) => { seen.push(state); if (state === "connected") stopped.stop(); },
            });
            window.stopped = stopped;
        }""",
        [f"{WEBSOCKET}?account=alice", cursor],
    )
    await until(site.page, "seen.includes('stopped')")
    assert await site.page.evaluate("seen") == ["connecting", "connected", "stopped"]
    assert await site.page.evaluate("stopped.cursor") == cursor


async def test_where_frames_are_held_back_an_event_stream_does_after_one_attempt(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.HOLD}
    await site.start()
    await site.counts(1, "tidings_messages_received_total")
    await site.page.clock.fast_forward(OPEN_MS)
    await site.counts(2, "tidings_messages_received_total")
    await site.page.clock.fast_forward(PROBE_MS)
    await site.connected("eventsource")
    assert site.box.requests == [WEBSOCKET, POLL, STREAM]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_outage_of_the_log_is_told_over_each(
    page: Page, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A feed that is well appends a marker after 2.8 s.
    monkeypatch.setattr(outages, "SILENT_SECONDS", 6.0)
    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.2)
    log = UnreliableLog(1)
    await log.open()
    async with opened(page, log=log) as site:
        better = list(TRANSPORTS)[: list(TRANSPORTS).index(transport)]
        site.box.rules = {TRANSPORTS[name]: Rule.REFUSE for name in better}
        await site.start()
        await site.connected(transport)
        log.accepts = False
        away = "client.status.state === 'waiting'" if transport == "poll" else "client.status.stalled === true"
        await until(page, away)
        log.accepts = True
        await until(page, "client.status.state === 'connected' && client.status.stalled === undefined")
        await site.publish("1")
        await site.shows("1")
    await log.close()


@pytest.mark.parametrize("rule", [Rule.HOLD, Rule.HANG])
async def test_where_streams_are_held_back_long_polls_do(site: Site, rule: Rule) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE, STREAM: rule}
    await site.start()
    await eventually(lambda: site.box.count(STREAM) == 1)
    await site.page.clock.fast_forward(OPEN_MS)
    await site.connected("poll")
    await site.parked("poll")
    for number in ("1", "2", "3"):
        await site.publish(number)
        await site.shows(number)
    assert await site.states() == ["1", "2", "3"]


async def test_one_cursor_goes_through_all_transports_and_back(site: Site) -> None:
    await site.start()
    await site.connected("websocket")
    await site.publish("1")
    await site.shows("1")

    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    site.box.vanish()
    await site.wait()
    await site.publish("2")
    await site.box.listen()
    await site.connected("eventsource")
    await site.shows("2")

    site.box.rules |= {STREAM: Rule.REFUSE}
    site.box.vanish()
    await site.publish("3")
    await site.box.listen()
    await site.connected("poll")
    await site.shows("3")
    await site.publish("4")
    await site.shows("4")

    site.box.rules = {}
    await site.page.clock.fast_forward(BETTER_MS)
    await site.connected("websocket")
    await site.publish("5")
    await site.shows("5")
    assert list(dict.fromkeys(await site.states())) == ["1", "2", "3", "4", "5"]
    assert not any("resync" in told for told in await site.states())
    connected = [one for one in await site.statuses() if one["state"] == "connected"]
    assert [one["transport"] for one in connected] == ["websocket", "eventsource", "poll", "websocket"]
    assert [one["resumed"] for one in connected] == [False, True, True, True]


async def test_a_better_transport_is_tried_beside_the_one_that_works(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    await site.start()
    await site.connected("eventsource")
    tried = site.box.count(WEBSOCKET)
    before = await site.statuses()

    site.box.rules = {WEBSOCKET: Rule.HANG}
    await site.page.clock.fast_forward(BETTER_MS)
    await eventually(lambda: site.box.count(WEBSOCKET) == tried + 1)
    await site.publish("1")
    await site.shows("1")
    assert await site.statuses() == before
    assert site.box.count(STREAM) == 1

    await site.page.clock.fast_forward(OPEN_MS)
    site.box.rules = {}
    await site.page.clock.fast_forward(2 * BETTER_MS)
    await site.connected("websocket")


async def test_from_polls_an_event_stream_is_tried_where_upgrades_are_still_blocked(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE, STREAM: Rule.REFUSE}
    await site.start()
    await site.connected("poll")
    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    await site.page.clock.fast_forward(BETTER_MS)
    await site.connected("eventsource")
    await site.parked("poll", 0)


async def test_another_network_is_tried_for_better_transports_at_once(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    await site.start()
    await site.connected("eventsource")
    site.box.rules = {}
    await site.page.evaluate("dispatchEvent(new Event('online'))")
    await site.page.clock.fast_forward(TICK_MS)
    await site.connected("websocket")
    await site.parked("eventsource", 0)
    site.box.requests.clear()
    site.box.hang_up(WEBSOCKET)
    await site.publish("1")
    await site.shows("1")
    assert site.box.requests == [WEBSOCKET]


async def test_what_worked_comes_first_after_a_break(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    await site.start()
    await site.connected("eventsource")
    site.box.requests.clear()
    site.box.hang_up(STREAM)
    await eventually(lambda: site.box.count(STREAM) == 1)
    await site.connected("eventsource")
    assert site.box.requests == [STREAM]


async def test_a_server_that_is_away_is_no_blocked_transport(site: Site) -> None:
    await site.start()
    await site.connected("websocket")
    site.box.vanish()
    await until(site.page, "told.filter((it) => it.state === 'waiting').length > 5")
    await site.box.listen()
    await site.connected("websocket")
    assert {one["transport"] for one in await site.statuses() if "transport" in one} == {"websocket"}


async def test_a_server_that_is_full_is_no_blocked_transport_and_is_left_alone(page: Page) -> None:
    async with opened(page, max_connections_per_account=1) as site, jmap_client(site.gateway.url()):
        await site.parked("websocket")
        await site.start()
        # By itself it would come back at once; the server asked for more.
        assert (await site.wait())["retryInMs"] >= 1_000
        assert STREAM not in site.box.requests


async def test_an_event_stream_comes_back_when_a_full_server_says(page: Page) -> None:
    async with opened(page, max_connections_per_account=1) as site:
        site.box.rules = {WEBSOCKET: Rule.REFUSE}
        await site.start()
        await site.connected("eventsource")
        site.box.vanish()
        await site.parked("eventsource", 0)
        async with jmap_client(site.gateway.url()):
            await site.box.listen()
            await until(page, "told.some((it) => it.code === 1013)")
            assert any(one["retryInMs"] >= 1_000 for one in await site.statuses() if one.get("code") == 1013)


async def test_a_last_transport_that_is_gone_makes_all_be_tried_anew(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE, STREAM: Rule.REFUSE}
    await site.start()
    await site.connected("poll")
    await site.parked("poll")
    site.box.rules = {POLL: Rule.REFUSE}
    site.box.hang_up(POLL)
    await site.connected("websocket")


async def test_a_poll_that_tells_nothing_moves_the_cursor(page: Page) -> None:
    async with opened_log(shards=1) as log, opened(page, log=log) as site:
        site.box.rules = {WEBSOCKET: Rule.REFUSE, STREAM: Rule.REFUSE}
        await site.start()
        await site.connected("poll")
        await site.parked("poll")
        cursor = await page.evaluate("client.cursor")
        await site.gateway.publish("bob", {"Email": "1"})
        site.box.hang_up(POLL)
        await until(page, f"client.cursor !== '{cursor}'")
        assert await site.states() == []


@pytest.mark.parametrize("transport", ["websocket", "eventsource"])
async def test_while_the_log_is_away_the_connection_is_kept(page: Page, transport: str) -> None:
    log = MemoryLog(shards=8)
    async with opened(page, log=log) as site:
        await site.start_waiting(transport)
        await log.open()
        await site.connected(transport)
        assert site.box.requests == [TRANSPORTS[transport]]
    await log.close()


@pytest.mark.parametrize("transport", ["websocket", "eventsource"])
async def test_who_waits_for_a_turn_to_resynchronise_keeps_the_connection(page: Page, transport: str) -> None:
    async with opened(page, resync_rate=0.001) as site:
        async with jmap_client(site.gateway.url()) as before:
            await before.subscribe(since=NO_CURSOR)
        await site.start_waiting(transport, NO_CURSOR)
        assert site.box.requests == [TRANSPORTS[transport]]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_is_refused_stops_with_the_reason(page: Page, transport: str) -> None:
    paths = list(TRANSPORTS.values())
    async with opened(page, auth="jwt", jwt_secret=SECRET) as site:
        site.box.rules = dict.fromkeys(paths[: paths.index(TRANSPORTS[transport])], Rule.REFUSE)
        token = jwt.encode({"sub": "alice", "exp": time.time() + 600}, SECRET, "HS256")
        await site.start(f"{WEBSOCKET}?access_token={token}")
        await site.connected(transport)
        await site.parked(transport)
        await site.move(WEBSOCKET)
        site.box.hang_up()
        await state(page, "stopped")
        stopped = {"state": "stopped", "error": "a token is required", "httpStatus": 401}
        assert (await site.statuses())[-1] == stopped


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_whose_key_is_not_known_yet_waits_for_it(
    page: Page, transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identity provider signs with a new key before it gives the key away."""
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    paths = list(TRANSPORTS.values())
    old, new = private_key("ES256"), private_key("ES256", 1)
    async with key_server(certificate) as keys:
        keys.offer(jwk(old, "ES256", kid="old"))
        async with opened(page, auth="jwt", jwks_url=keys.url) as site:
            await site.counts(1, "tidings_jwks_keys")
            keys.status = b"503 Later"
            site.box.rules = dict.fromkeys(paths[: paths.index(TRANSPORTS[transport])], Rule.REFUSE)
            await site.start(f"{WEBSOCKET}?access_token={signed(new, 'ES256', 'new')}")
            assert (await site.wait())["retryInMs"] >= 5_000
            keys.status = b"200 OK"
            keys.offer(jwk(old, "ES256", kid="old"), jwk(new, "ES256", kid="new"))
            await page.clock.fast_forward(60_000)
            await site.connected(transport)
        assert "stopped" not in [status["state"] for status in (await site.statuses())[:-1]]


async def test_an_account_of_somebody_else_stops_it(page: Page) -> None:
    async with opened(page, auth="jwt", jwt_secret=SECRET) as site:
        token = jwt.encode({"sub": "alice", "exp": time.time() + 600}, SECRET, "HS256")
        await site.start(f"{WEBSOCKET}?access_token={token}&account=bob")
        await state(page, "stopped")
        assert (await site.statuses())[-1]["httpStatus"] == 403


@pytest.mark.parametrize(("transport", "rules"), [("eventsource", 1), ("poll", 2)])
async def test_a_restart_of_the_gateway_is_told_by_every_transport(page: Page, transport: str, rules: int) -> None:
    async with opened_log(shards=8) as log, opened(page, log=log) as site:
        site.box.rules = dict.fromkeys(list(TRANSPORTS.values())[:rules], Rule.REFUSE)
        await site.start()
        await site.connected(transport)
        await site.parked(transport)
        await site.page.evaluate("told.length = 0")
        await site.gateway.service.stop()
        waiting = await site.wait()
        assert waiting["code"] == 1012
        assert waiting["retryInMs"] < 5_000


async def test_a_gateway_that_is_full_is_left_alone_for_as_long_as_it_asks(page: Page) -> None:
    async with opened(page, max_connections=1) as site, jmap_client(site.gateway.url()):
        # Or it might come back before the requests are counted.
        await page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
        await site.start()
        waiting = await site.wait()
        # Retry-After is one second or more; the backoff of this page is below ten milliseconds.
        assert waiting["retryInMs"] >= 1_000
        assert site.box.count(WEBSOCKET) == site.box.count(POLL) == 1


@pytest.mark.parametrize(("transport", "rules"), [("eventsource", 1), ("poll", 2)])
async def test_no_transport_outlives_the_page(site: Site, transport: str, rules: int) -> None:
    site.box.rules = dict.fromkeys(list(TRANSPORTS.values())[:rules], Rule.REFUSE)
    await site.start()
    await site.connected(transport)
    await site.parked(transport)
    await site.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    await site.parked(transport, 0)
    await site.publish("1")
    await site.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await site.shows("1")
    assert (await site.statuses())[-1] == {"state": "connected", "resumed": True, "transport": transport}


@pytest.mark.parametrize(("transport", "rules"), [("eventsource", 1), ("poll", 2)])
async def test_one_that_went_silent_is_replaced(site: Site, transport: str, rules: int) -> None:
    path = TRANSPORTS[transport]
    site.box.rules = dict.fromkeys(list(TRANSPORTS.values())[:rules], Rule.REFUSE)
    await site.start()
    await site.connected(transport)
    await site.parked(transport)
    site.box.go_deaf(path)
    asked = site.box.count(path)
    for _ in range(6):
        await site.page.clock.fast_forward(TICK_MS)
    await eventually(lambda: site.box.count(path) > asked)


async def test_only_the_types_that_were_asked_for_are_told(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    await site.start(types=["Email", "Mailbox"])
    await site.connected("eventsource")
    await site.gateway.publish("alice", {"Thread": "t"})
    await site.gateway.publish("alice", {"Email": "1", "Thread": "t2"})
    await site.shows("1")
    site.box.rules |= {STREAM: Rule.REFUSE}
    site.box.hang_up(STREAM)
    await site.connected("poll")
    await site.gateway.publish("alice", {"Email": "2", "Thread": "t3"})
    await site.shows("2")
    changed = [one["changed"]["alice"] for one in await told(site.page) if "changed" in one]
    assert changed == [{"Email": "1"}, {"Email": "2"}]


async def test_every_transport_crosses_origins(page: Page) -> None:
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    tokens = {"auth": "jwt", "jwt_secret": SECRET}
    async with opened(page, allow_origin=[origin], **tokens) as site, middlebox(site.gateway.port, port):
        token = jwt.encode({"sub": "alice", "exp": time.time() + 600}, SECRET, "HS256")
        await page.context.add_cookies([{"name": "tidings_token", "value": token, "url": origin}])
        await page.goto(origin)
        site.box.rules = {WEBSOCKET: Rule.REFUSE}
        await site.start(f"http://127.0.0.1:{site.box.port}{WEBSOCKET}")
        await site.connected("eventsource")
        site.box.hang_up(STREAM)
        await site.publish("1")
        await site.shows("1")
        site.box.rules |= {STREAM: Rule.REFUSE}
        site.box.hang_up(STREAM)
        await site.connected("poll")
        for number in ("2", "3"):
            await site.publish(number)
            await site.shows(number)
        assert await site.states() == ["1", "2", "3"]


async def test_a_stream_is_read_however_it_is_cut_and_its_lines_end(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE, STREAM: Rule.DRIBBLE}
    await site.start()
    await site.connected("eventsource")
    for number in ("grüße", "2"):
        await site.publish(number)
        await site.shows(number)
    assert await site.states() == ["grüße", "2"]


async def test_a_subscription_that_is_refused_stops_an_event_stream(site: Site) -> None:
    site.box.rules = {WEBSOCKET: Rule.REFUSE}
    await site.start(types=["no such thing"])
    await state(site.page, "stopped")
    stopped = (await site.statuses())[-1]
    assert stopped["httpStatus"] == 400
    assert "types" in stopped["error"]
