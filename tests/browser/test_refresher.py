"""When a page of Roundcube asks what is new: integrations/roundcube/refresher.js, by a clock that the test sets."""

from __future__ import annotations

from pathlib import Path

import pytest_asyncio
from playwright.async_api import Page, Route

from tests.browser.clientpage import BLANK

MODULE = Path(__file__).parents[2] / "integrations" / "roundcube" / "refresher.js"
START = """async () => {
    const { Refresher } = await import("/refresher.js");
    const began = performance.now();
    window.refreshes = [];
    window.answers = true;
    window.refresher = new Refresher((done) => {
        refreshes.push(Math.round(performance.now() - began));
        setTimeout(done, 100, answers);
    });
}"""
SECOND = 1_000
HOUR = 3_600 * SECOND
"""No page takes so long to load: a clock that runs until then cannot be set back."""


class Refresher:
    """A refresh takes 100 ms. `at` is when each was asked for, in milliseconds."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def does(self, what: str) -> None:
        await self._page.evaluate(f"refresher.{what}")

    async def answers(self, whether: bool) -> None:
        await self._page.evaluate("(whether) => { window.answers = whether; }", whether)

    async def passes(self, milliseconds: int) -> None:
        await self._page.clock.run_for(milliseconds)

    async def at(self) -> list[int]:
        found = await self._page.evaluate("refreshes")
        assert isinstance(found, list)
        return found


@pytest_asyncio.fixture(loop_scope="session")
async def refresher(page: Page) -> Refresher:
    async def serve(route: Route) -> None:
        if route.request.url.endswith(".js"):
            await route.fulfill(body=MODULE.read_bytes(), content_type="text/javascript")
        else:
            await route.fulfill(body=BLANK, content_type="text/html")

    await page.route("**/*", serve)
    await page.clock.install(time=0)
    await page.goto("http://127.0.0.1:1/")
    await page.clock.pause_at(HOUR)
    await page.evaluate(START)
    return Refresher(page)


async def test_a_change_refreshes_at_once(refresher: Refresher) -> None:
    await refresher.does("changed()")
    assert await refresher.at() == [0]
    await refresher.passes(10 * SECOND)
    await refresher.does("changed()")
    assert await refresher.at() == [0, 10 * SECOND]


async def test_what_comes_in_company_is_two_refreshes(refresher: Refresher) -> None:
    for _ in range(20):
        await refresher.does("changed()")
        await refresher.passes(150)
    await refresher.passes(10 * SECOND)
    # A second after the last.
    assert await refresher.at() == [0, 19 * 150 + SECOND]


async def test_changes_that_never_end_are_seen_all_the_same(refresher: Refresher) -> None:
    for _ in range(24):
        await refresher.does("changed()")
        await refresher.passes(500)
    assert await refresher.at() == [0, 5_500, 10_500]


async def test_what_the_user_does_is_one_refresh(refresher: Refresher) -> None:
    await refresher.does("began('POST')")
    await refresher.does("changed()")
    await refresher.passes(300)
    await refresher.does("ended('POST', true)")
    await refresher.passes(200)
    await refresher.does("changed()")
    await refresher.passes(10 * SECOND)
    assert await refresher.at() == [500 + SECOND]


async def test_while_something_else_is_asked_for_there_is_no_refresh(refresher: Refresher) -> None:
    await refresher.does("began('GET')")
    await refresher.does("changed()")
    await refresher.passes(700)
    assert await refresher.at() == []
    await refresher.does("ended('GET', false)")
    assert await refresher.at() == [700]


async def test_what_changes_during_a_refresh_is_asked_for_after_it(refresher: Refresher) -> None:
    await refresher.does("changed()")
    await refresher.passes(50)
    await refresher.does("changed()")
    await refresher.passes(10 * SECOND)
    assert await refresher.at() == [0, 100 + SECOND]


async def test_a_refresh_that_fails_is_tried_again(refresher: Refresher) -> None:
    await refresher.answers(False)
    await refresher.does("changed()")
    await refresher.passes(SECOND)
    await refresher.answers(True)
    await refresher.passes(60 * SECOND)
    assert await refresher.at() == [0, 100 + 30 * SECOND]
