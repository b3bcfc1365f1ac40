"""The dashboard of the admin port, as an operator at a browser sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import re
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
import websockets
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.conftest import Seen, storage
from tests.browser.maildirs import Maildirs
from tests.support.broker import Broker
from tests.support.freezing import freeze
from tests.support.processes import Tidings
from tests.support.processes import tidings as running
from tests.support.waiting import patient, promised, within

CLIENTS = ("alice", "alice", "alice", "bob")
TEAM = "team@mail.example"
CROWD = (*(f"user{number}@mail.example" for number in range(150)), *[TEAM] * 12, *["alice@mail.example"] * 5)
CHARTED_SECONDS = 100
PATIENCE_SECONDS = 300
SAID_SECONDS = 5.0
ANSWER_SECONDS = 30.0
HELD = 0.6
DRAWN = "document.querySelector('.spark .line')?.points?.length ?? 0"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Tidings]:
    """One of its own: what it counts is what a test did."""
    with running("up", *storage(Maildirs(tmp_path / "mail"), tmp_path / "state")) as program:
        yield program


@asynccontextmanager
async def clients(program: Tidings, accounts: Sequence[str] = CLIENTS) -> AsyncIterator[None]:
    """Subscribed clients, each of which reads what it is told."""
    async with AsyncExitStack() as stack:
        readers = []
        for account in accounts:
            url = program.url("gateway", f"/jmap/ws?account={account}", "ws")
            socket = await stack.enter_async_context(websockets.connect(url, subprotocols=["jmap"]))  # type: ignore[list-item]
            await socket.send(json.dumps({"@type": "WebSocketPushEnable", "dataTypes": None}))
            await socket.recv()
            readers.append(asyncio.create_task(drain(socket)))
        yield
        for reader in readers:
            reader.cancel()


async def drain(socket: websockets.ClientConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in socket:
            pass


@asynccontextmanager
async def changes(
    program: Tidings, accounts: Sequence[str] = CLIENTS, held: float = 1.0
) -> AsyncIterator[asyncio.Event]:
    """Changes of random accounts that come all the time, in waves.

    Once the spool is that full, no more come until the event is set.
    """
    draw = random.Random(1)
    released = asyncio.Event()

    async def publish() -> None:
        async with httpx2.AsyncClient(timeout=patient(ANSWER_SECONDS)) as client:
            for number in range(100_000):
                event = {
                    "specversion": "1.0",
                    "id": str(number),
                    "source": "/test",
                    "type": "mail.MessageNew",
                    "subject": draw.choice(accounts),
                }
                headers = {"Content-Type": "application/cloudevents+json"}
                await client.post(program.url("ingest", "/v1/changes"), json=event, headers=headers)
                if held < 1 and not released.is_set():
                    metrics = (await client.get(program.url("admin", "/debug/vars"))).json()["metrics"]
                    if metrics["tidings_spool_bytes"] >= held * metrics["tidings_spool_capacity_bytes"]:
                        await released.wait()
                await asyncio.sleep(draw.uniform(0.01, 0.03 + 0.02 * math.sin(number / 300)))

    publishing = asyncio.create_task(publish())
    try:
        yield released
    finally:
        publishing.cancel()


async def value(page: Page, title: str, pattern: str) -> None:
    """Wait until a card shows such a value."""
    found = page.locator(".card").filter(has=page.get_by_role("heading", name=title)).locator(".value")
    await expect(found).to_have_text(re.compile(pattern))


def panel(page: Page, title: str) -> Locator:
    return page.locator(".panel").filter(has=page.get_by_role("heading", name=title))


async def test_it_shows_at_a_glance_what_goes_on(page: Page, seen: Seen, program: Tidings) -> None:
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    async with clients(program), changes(program):
        await page.goto(program.url("admin", "/"))
        await expect(page.locator("#state")).to_have_text("ready")
        await expect(page.locator("#state")).to_have_attribute("data-state", "good")
        await value(page, "Connections", r"^4$")
        await value(page, "Changes accepted", r"^[1-9][\d.]* /s$")
        await value(page, "Pushes", r"^[1-9][\d.]* /s$")
        await value(page, "Latency, p99", r"^[\d.]+ (µs|ms|s)$")
        await value(page, "Main loop busy", r"^[\d.]+ %$")
        await value(page, "Memory", r"^[\d.]+ MiB$")
        await expect(panel(page, "Lag by shard").locator(".shard.good")).to_have_count(2)
        await expect(panel(page, "Lag by shard")).to_contain_text("2 shards read, all live")
        await expect(panel(page, "Top talkers").locator("tbody tr").first).to_contain_text("alice")
        await expect(panel(page, "Memory by layer")).to_contain_text("Python arenas")
        await expect(panel(page, "Answers and outcomes")).to_contain_text("ingest: 202")
    await expect(panel(page, "Closes by reason")).to_contain_text("WebSocket: closed by the client")
    assert all(url.startswith(program.url("admin")) for url in seen.requests)
    assert refused == []


async def test_a_process_that_is_not_ready_stuck_or_gone_is_said_to_be_so(page: Page, program: Tidings) -> None:
    await page.goto(program.url("admin", "/"))
    await expect(page.locator("#state")).to_have_text("ready")
    freeze(program.pid)
    try:
        await expect(page.locator("#answer")).to_contain_text("no answer from this process")
        await expect(page.locator("#state")).to_have_attribute("data-state", "bad")
    finally:
        program.process.send_signal(signal.SIGCONT)
    await expect(page.locator("#answer")).to_be_empty()
    await expect(page.locator("#state")).to_have_attribute("data-state", "good")


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(vhosts=2) as running:
        yield running


DASHES = """
new MutationObserver(() => {
  const latency = [...document.querySelectorAll(".card")].find((card) => card.textContent.startsWith("Latency"));
  if (latency?.querySelector(".value").textContent.includes("\\u2013")) document.documentElement.dataset.dash = "seen";
}).observe(document, { childList: true, subtree: true });
"""


async def test_an_outage_is_said_at_the_top_for_as_long_as_it_lasts(
    page: Page, seen: Seen, broker: Broker, tmp_path: Path
) -> None:
    places = storage(Maildirs(tmp_path / "mail"), tmp_path / "state")
    troubles, state = page.locator("#troubles"), page.locator("#state")
    with running("up", *places, "--bus", broker.fresh_url(), "--spool-bytes", "60000") as program:
        program.wait_connected()
        async with clients(program):
            # Or the spool might be full before the page has said that it is half full.
            async with changes(program, held=HELD) as released:
                await asyncio.to_thread(program.wait, lambda: pushed(program))
                await page.add_init_script(DASHES)
                await page.goto(program.url("admin", "/"))
                await value(page, "Latency, p99", r"^[\d.]+ (µs|ms|s)$")
                await expect(state).to_have_attribute("data-state", "good")
                await expect(troubles).to_be_empty()

                await asyncio.to_thread(broker.stop)
                await expect(troubles).to_contain_text("RabbitMQ is away", timeout=promised(SAID_SECONDS) * 1000)
                await expect(troubles).to_contain_text(f":{broker.port}: ")
                await expect(state).to_have_attribute("data-state", "bad")
                await expect(troubles).to_contain_text(
                    re.compile(r"changes wait in the spool.*the oldest has waited \d+ s")
                )
                await expect(troubles).to_contain_text(re.compile(r"The spool is (5\d|[6-9]\d)% full"))
                released.set()
                await expect(troubles).to_contain_text(
                    "Ingest is refused (503) the log takes no changes, and the spool is"
                )
                # As the page is without scripts, and for whoever asks with curl.
                async with httpx2.AsyncClient() as http:
                    plain = await http.get(program.url("admin", "/"))
                assert "<strong>RabbitMQ is away" in plain.text
            # It lasts although nobody asks for anything any more.
            await page.reload()
            for told in ("RabbitMQ is away", "Ingest is refused (503)", "The spool is full"):
                await expect(troubles).to_contain_text(told, timeout=promised(SAID_SECONDS) * 1000)
            await expect(state).to_have_attribute("data-state", "bad")
            await troubles.get_by_role("link", name="What to do").first.click()
            await expect(page.get_by_role("heading", name="TidingsBrokerUnreachable")).to_be_in_viewport()
            await page.go_back()

            broker.launch()
            await asyncio.to_thread(broker.wait_ready)
            await expect(troubles).to_be_empty()
            await expect(state).to_have_attribute("data-state", "good")
            await expect(state).to_have_text("ready")
        assert await page.locator("html").get_attribute("data-dash") is None


def pushed(program: Tidings) -> bool:
    metrics = httpx2.get(program.url("admin", "/debug/vars")).json()["metrics"]
    return bool(metrics["tidings_pushes_total"])


async def test_a_frozen_broker_is_said_to_deliver_nothing(page: Page, broker: Broker, tmp_path: Path) -> None:
    flags = ("--bus", broker.fresh_url(), "--drain-seconds", "0")
    with running("gateway", *flags) as gateway, running("publisher", *flags[:2], "--spool-bytes", "0") as publisher:
        gateway.wait_connected()
        publisher.wait_connected()
        async with clients(gateway, ("alice",)):
            await page.goto(gateway.url("admin", "/"))
            await expect(page.locator("#state")).to_have_attribute("data-state", "good")
            broker.pause()
            try:
                await expect(page.locator("#troubles")).to_contain_text(
                    re.compile("RabbitMQ is away|1 shard (silent|not live)")
                )
                async with changes(publisher, ("alice",)):
                    await page.goto(publisher.url("admin", "/"))
                    await expect(page.locator("#troubles")).to_contain_text("Ingest is refused (503)")
            finally:
                broker.resume()
            await expect(page.locator("#troubles")).to_be_empty()


async def test_its_links_lead_to_pages_that_explain(page: Page, program: Tidings) -> None:
    await page.goto(program.url("admin", "/"))
    await page.get_by_role("link", name="Why do the layers differ?").click()
    await expect(page.get_by_role("heading", name="Memory")).to_be_visible()
    await expect(page.locator("body")).to_contain_text("free blocks between them")
    await page.get_by_role("link", name="Garbage collector").click()
    await expect(page.get_by_role("heading", name="Garbage collector")).to_be_visible()
    await page.get_by_role("link", name="Dashboard").click()
    async with clients(program):
        await page.get_by_role("link", name="debug/requests").click()
        family = page.locator("tr").filter(has_text="connections")
        await family.locator("a").first.click()
        await expect(page.locator(".trace").first).to_contain_text("/jmap/ws")
        await expect(page.locator(".trace").first).to_contain_text("authenticated")


async def test_an_account_is_found_its_story_read_and_its_clients_disconnected(
    page: Page, seen: Seen, program: Tidings
) -> None:
    account = "a+b <i>?&@mail.example"
    async with clients(program, (quote(account), quote(account), "bob")), changes(program, (account,)):
        await page.goto(program.url("admin", "/"))
        await panel(page, "Top talkers").get_by_role("link", name=account).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(f"Account {account}")
        await expect(page.locator("main table").first.locator("tbody tr")).to_have_count(2)
        await expect(page.locator("main table").last).to_contain_text("in the log, offset")
        # Whoever watches the page dismisses what it asks.
        await page.get_by_role("button", name="Disconnect").click()
        await expect(page.locator("#answer")).to_contain_text("The clients then need a new token")
        assert seen.dialogs == [f"Close all connections of {account}?"]
        await page.evaluate("window.confirm = () => true")
        await page.get_by_role("button", name="Disconnect").click()
        await expect(page.locator("#answer")).to_have_text("2 connections were closed.")
        await page.get_by_label("Account").fill("bob")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Account bob")
        await expect(page.locator("main table").first.locator("tbody tr")).to_have_count(1)
    assert all(url.startswith(program.url("admin")) for url in seen.requests)


async def test_without_scripts_the_pages_are_there(browser: Browser, program: Tidings) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(program.url("admin", "/"))
    await expect(page.locator("#state")).to_have_text("ready")
    await expect(page.get_by_role("link", name="metrics")).to_be_visible()
    await context.close()


async def test_a_publisher_a_webmail_and_workers_have_theirs(page: Page, tmp_path: Path) -> None:
    bus = ("--bus", "amqp://guest:guest@127.0.0.1:1/")  # nobody there: they run all the same
    with running("publisher", *bus, "--state-dir", str(tmp_path)) as publisher:
        await page.goto(publisher.url("admin", "/"))
        await value(page, "Changes accepted", r"^0 /s$")
        await value(page, "Spool", r"B$")
        await value(page, "Memory", r"MiB$")
        await expect(panel(page, "Lag by shard")).to_have_count(0)
    with running("webmail", "--maildir", str(tmp_path)) as webmail:
        await page.goto(webmail.url("admin", "/"))
        await value(page, "Refused, thread pool full", r"^0 /s$")
        await value(page, "Main loop busy", r"%$")
    with running("gateway", *bus, "--workers", "2") as gateway:
        await page.goto(gateway.url("admin", "/"))
        await expect(page.locator("#state")).to_have_attribute("data-state", "wait")
        await expect(page.locator("#state")).to_contain_text("worker 2: log: not connected yet")
        await expect(page.locator("#troubles")).to_contain_text("RabbitMQ is away")
        await expect(page.locator("#troubles")).not_to_contain_text("worker 1:")
        await expect(page.locator("#facts")).to_contain_text("2 workers")
        await value(page, "Connections", r"^0$")
        await page.get_by_role("link", name="2", exact=True).click()
        await expect(page.locator("h1")).to_contain_text("worker 2")
        await value(page, "Connections", r"^0$")


async def test_its_picture(browser: Browser, program: Tidings, tmp_path: Path) -> None:
    """SCREENSHOTS=docs/images makes those of the documentation, with two minutes of history in them."""
    wanted = os.environ.get("SCREENSHOTS")
    directory = Path(wanted) if wanted else tmp_path
    contexts = {
        scheme: await browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        for scheme in ("light", "dark")
    }
    pages = {scheme: await context.new_page() for scheme, context in contexts.items()}
    async with clients(program, CROWD), changes(program, CROWD):
        for page in pages.values():
            await page.goto(program.url("admin", "/"))
        for scheme, page in pages.items():
            await expect(panel(page, "Top talkers").locator("tbody tr").first).to_contain_text(
                TEAM, timeout=patient(15) * 1000
            )
            if wanted:
                async with within(PATIENCE_SECONDS):
                    while await page.evaluate(DRAWN) < CHARTED_SECONDS:
                        await asyncio.sleep(1)
            path = directory / ("dashboard.png" if scheme == "light" else "dashboard-dark.png")
            await page.screenshot(path=path, full_page=True)
            assert path.stat().st_size > 20_000
    for context in contexts.values():
        await context.close()
