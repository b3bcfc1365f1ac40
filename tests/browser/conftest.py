"""One Chromium and one `tidings up` for all browser tests; each test has a page and an account of its own."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Dialog, Page, Request, async_playwright, expect

from tests.browser.maildirs import Maildirs
from tests.support.processes import Tidings
from tests.support.processes import tidings as running

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DEADLINE_MS = 40_000
"""A client that has failed a few times waits for up to 30 s before it tries again (BACKOFF_CAP_MS)."""

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here shares the loop that the browser lives in."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = shutil.which("chromium")
    assert executable, "a real browser is needed: install it with `apt-get install chromium`"
    expect.set_options(timeout=DEADLINE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1200, "height": 760})
    context.set_default_timeout(DEADLINE_MS)
    yield context
    await context.close()


@dataclass
class Seen:
    """What a page did that nobody should overlook."""

    requests: list[str] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def api_requests(self) -> list[str]:
        return [url for url in self.requests if "/api/" in url]


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


@pytest.fixture
def seen(page: Page) -> Iterator[Seen]:
    """Watches the page; an error of its own scripts fails the test."""
    seen = Seen()

    async def dismiss(dialog: Dialog) -> None:
        seen.dialogs.append(dialog.message)
        await dialog.dismiss()

    def requested(request: Request) -> None:
        seen.requests.append(request.url)

    page.on("dialog", dismiss)
    page.on("request", requested)
    page.on("response", lambda response: seen.responses.append(response.url))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    yield seen
    assert seen.errors == []


@pytest.fixture(scope="session")
def maildirs(tmp_path_factory: pytest.TempPathFactory) -> Maildirs:
    root = tmp_path_factory.mktemp("mail")
    return Maildirs(root)


@pytest.fixture(scope="session")
def tidings(maildirs: Maildirs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidings]:
    with running("up", *storage(maildirs, tmp_path_factory.mktemp("state"))) as program:
        yield program


def storage(maildirs: Maildirs, state: Path) -> tuple[str, ...]:
    """The flags that say where the mail is."""
    return ("--maildir", str(maildirs.root), "--state-dir", str(state))


@pytest.fixture
def account(tidings: Tidings, maildirs: Maildirs) -> str:
    """A fresh account with an empty Maildir."""
    name = f"user{next(_numbers)}"
    maildirs.create(name)
    return name


async def eventually(condition: object, deadline: float = DEADLINE_MS / 1000) -> None:
    """Wait until a callable is true."""
    assert callable(condition)
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.02)
