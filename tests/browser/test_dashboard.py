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

import httpx
import pytest
import websockets
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.conftest import Seen, storage
from tests.browser.maildirs import Maildirs
from tests.support.processes import Tidings
from tests.support.processes import tidings as running

CLIENTS = ("alice", "alice", "alice", "bob")
TEAM = "team@mail.example"
CROWD = (*(f"user{number}@mail.example" for number in range(150)), *[TEAM] * 12, *["alice@mail.example"] * 5)
CHARTED_SECONDS = 100
PATIENCE_SECONDS = 300
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
async def changes(program: Tidings, accounts: Sequence[str] = CLIENTS) -> AsyncIterator[None]:
    """Changes of random accounts that come all the time, in waves."""
    draw = random.Random(1)

    async def publish() -> None:
        async with httpx.AsyncClient() as client:
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
                await asyncio.sleep(draw.uniform(0.01, 0.03 + 0.02 * math.sin(number / 300)))

    publishing = asyncio.create_task(publish())
    try:
        yield
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
    program.process.send_signal(signal.SIGSTOP)
    try:
        await expect(page.locator("#answer")).to_contain_text("no answer from this process")
        await expect(page.locator("#state")).to_have_attribute("data-state", "bad")
    finally:
        program.process.send_signal(signal.SIGCONT)
    await expect(page.locator("#answer")).to_be_empty()
    await expect(page.locator("#state")).to_have_attribute("data-state", "good")


async def test_its_links_lead_to_pages_that_explain(page: Page, program: Tidings) -> None:
    await page.goto(program.url("admin", "/"))
    await page.get_by_role("link", name="Why do they differ?").click()
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
        await value(page, "Refused by the full pool", r"^0 /s$")
        await value(page, "Main loop busy", r"%$")
    with running("gateway", *bus, "--workers", "2") as gateway:
        await page.goto(gateway.url("admin", "/"))
        await expect(page.locator("#state")).to_have_attribute("data-state", "wait")
        await expect(page.locator("#state")).to_contain_text("worker 2: log: not connected yet")
        await expect(page.locator("#facts")).to_contain_text("2 workers")
        await value(page, "Connections", r"^0$")
        await page.get_by_role("link", name="2", exact=True).click()
        await expect(page.locator("h1")).to_contain_text("worker 2")
        await value(page, "Connections", r"^0$")


@pytest.mark.timeout(400)
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
            await expect(panel(page, "Top talkers").locator("tbody tr").first).to_contain_text(TEAM, timeout=60_000)
            if wanted:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while await page.evaluate(DRAWN) < CHARTED_SECONDS:
                        await asyncio.sleep(1)
            path = directory / ("dashboard.png" if scheme == "light" else "dashboard-dark.png")
            await page.screenshot(path=path, full_page=True)
            assert path.stat().st_size > 20_000
    for context in contexts.values():
        await context.close()
