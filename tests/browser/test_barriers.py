"""Who cannot see a page, or uses no mouse: what axe-core finds on every page, wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import deadline
from tests.browser.maildirs import Maildirs
from tests.browser.test_flame import GRAPH_SECONDS, open_graph
from tests.browser.test_webmail import ATTACHED, open_inbox, row
from tests.support.processes import Tidings
from tests.support.waiting import patient

AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest_asyncio.fixture(params=[(width, scheme) for width in (1280, 390) for scheme in SCHEMES], loop_scope="session")
async def page(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    width, scheme = request.param
    context = await browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(deadline() * 1000)
    expect.set_options(timeout=deadline() * 1000)
    yield await context.new_page()
    await context.close()


async def barriers(page: Page) -> list[str]:
    """What axe-core finds of more than minor impact, on the page as it is now."""
    assert AXE.is_file(), "npm packages are needed: `make test` installs them"
    await page.evaluate(AXE.read_text())
    # What is in a frame is a stranger's mail.
    found: dict[str, Any] = await page.evaluate("axe.run(document, { resultTypes: ['violations'], iframes: false })")
    return [
        f"{violation['impact']}: {violation['help']}: {node['html'][:200]}"
        for violation in found["violations"]
        for node in violation["nodes"]
        if violation["impact"] != "minor"
    ]


async def test_the_webmail(page: Page, tidings: Tidings, maildirs: Maildirs, account: str) -> None:
    for number in range(201):
        maildirs.deliver(account, f"number {number}", "text\n" * 200)
    (maildirs.root / account / "new" / "directory").mkdir()
    maildirs.deliver(account, "With HTML", html="<p>rich</p>")
    maildirs.deliver_raw(account, ATTACHED)
    maildirs.deliver_raw(account, b"Subject: Guessed\nContent-Type: text/plain; charset=punycode\n\nx\n")
    await open_inbox(page, tidings, account)
    await expect(row(page, "number 150")).to_be_visible()
    assert await barriers(page) == []
    for subject in ("number 199", "With HTML", "Look at this", "Guessed"):
        if await page.locator("#back").is_visible():
            await page.locator("#back").click()
        await row(page, subject).click()
        await expect(page.locator("#subject")).to_have_text(subject)
        assert await barriers(page) == []
    await page.context.grant_permissions(["notifications"])
    await page.get_by_role("button", name="Notify").click()
    await expect(page.get_by_role("button", name="Notify")).to_have_attribute("aria-pressed", "true")
    assert await barriers(page) == []
    await page.get_by_role("button", name="New test mail").click()
    assert await barriers(page) == []
    await page.get_by_label("To").fill("nobody here")
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator("#draft-fault")).to_be_visible()
    assert await barriers(page) == []
    await page.goto(tidings.url("gateway", "/?account=nobody"))
    await expect(page.locator("#notice")).to_be_visible()
    assert await barriers(page) == []


async def test_the_dashboard(page: Page, tidings: Tidings, account: str) -> None:
    other = await page.context.new_page()
    await open_inbox(other, tidings, account)
    await page.bring_to_front()
    await page.goto(tidings.url("admin"))
    await expect(page.locator(".panel").first).to_be_visible()
    await expect(page.locator(".shard").first).to_be_visible()
    assert await barriers(page) == []


@pytest.mark.parametrize("path", ["pprof/", "requests", "memory", "gc", "objects", "flame/"])
async def test_the_pages_of_the_admin_port(page: Page, tidings: Tidings, path: str) -> None:
    await page.goto(tidings.url("admin", f"/debug/{path}"))
    await expect(page.locator("h1")).to_have_count(1)
    await page.wait_for_load_state("networkidle")
    assert await barriers(page) == []


async def test_a_flame_graph(page: Page, tidings: Tidings) -> None:
    await open_graph(page, tidings, "goroutine")
    assert await barriers(page) == []
    # The sandwich view, as its help says: on a phone the title covers its tab.
    await page.keyboard.press("3")
    await expect(page.get_by_text("asyncio.runners.Runner.run").first).to_be_visible(
        timeout=patient(GRAPH_SECONDS) * 1000
    )
    assert await barriers(page) == []
