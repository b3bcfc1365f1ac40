"""One Chromium and one `tidings up` for all browser tests; each test has a page and an account of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Dialog, Page, Request, expect

from tests.browser.maildirs import Maildirs
from tests.support.browser import chromium
from tests.support.processes import Tidings
from tests.support.processes import tidings as running
from tests.support.waiting import patient

BACKOFF_SECONDS = 30.0
"""A client that has failed a few times waits for so long before it tries again (BACKOFF_CAP_MS)."""
STEP_SECONDS = 10.0

_numbers = itertools.count(1)


def deadline() -> float:
    """How long to wait for what a page does next, in seconds."""
    return BACKOFF_SECONDS + patient(STEP_SECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here shares the loop that the browser lives in."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1200, "height": 760})
    context.set_default_timeout(deadline() * 1000)
    expect.set_options(timeout=deadline() * 1000)
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


async def eventually(condition: object) -> None:
    """Wait until a callable is true."""
    assert callable(condition)
    async with asyncio.timeout(deadline()):
        while not condition():
            await asyncio.sleep(0.02)
