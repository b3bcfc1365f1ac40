"""The webmail in several tabs: one connection at the gateway, and one of them notifies the desktop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import Seen, deadline, eventually
from tests.browser.maildirs import Maildirs
from tests.browser.test_webmail import deliver_many, expect_all_counted, open_inbox, row
from tests.support.metrics import Scrape
from tests.support.processes import Tidings
from tests.support.processes import tidings as running

_WATCHED = """
    window.shown = [];
    window.asked = 0;
    window.focused = 0;
    window.chosen = 0;
    window.listed = 0;
    const { requestPermission } = Notification;
    Notification.requestPermission = () => { asked++; return requestPermission.call(Notification); };
    window.focus = () => { focused++; };
    const { fetch } = window;
    window.fetch = async (path, ...more) => {
        const asked = chosen;
        const answer = await fetch(path, ...more);
        if (String(path).includes("&offset=")) {
            const { json } = answer;
            answer.json = async () => {
                const found = await json.call(answer);
                listed = asked;
                return found;
            };
        }
        return answer;
    };
    const { setItem } = Storage.prototype;
    Storage.prototype.setItem = function (...given) {
        setItem.apply(this, given);
        chosen++;
    };
    addEventListener("storage", () => { chosen++; });
    window.Notification = class extends Notification {
        constructor(title, options) {
            super(title, options);
            shown.push(this);
        }
    };
"""
"""Real notifications, which nobody sees without a desktop. `listed` is the choice after which a list was asked for."""
QUIET_MS = 1_000
"""After so long a burst is over (notifier.js)."""
_BURST_IS_OVER = f"new Promise((over) => setTimeout(over, {QUIET_MS}))"
"""Timers of a page go off in order, and one is set in the task that shows a mail."""
_SHOWN = "shown.map(({ title, body }) => [title, body])"


@pytest_asyncio.fixture(loop_scope="session")
async def watched(context: BrowserContext) -> BrowserContext:
    """A browser whose user lets pages notify, if they ask."""
    await context.grant_permissions(["notifications"])
    await context.add_init_script(_WATCHED)
    return context


async def open_tab(context: BrowserContext, tidings: Tidings, account: str) -> Page:
    page = await context.new_page()
    await open_inbox(page, tidings, account)
    return page


async def notify(page: Page, *others: Page) -> None:
    """Press the button, and wait until all tabs have a list that tells them which mail is new from now on."""
    button = page.get_by_role("button", name="Notify")
    await expect(button).to_have_attribute("aria-pressed", "false")
    await button.click()
    for tab in (page, *others):
        await expect(tab.get_by_role("button", name="Notify")).to_have_attribute("aria-pressed", "true")
        async with asyncio.timeout(deadline()):
            while not await tab.evaluate("chosen > 0 && listed === chosen"):
                await asyncio.sleep(0.02)


async def shown(*tabs: Page) -> list[list[str]]:
    """The titles and texts of what was shown, in any of these tabs."""
    return [each for tab in tabs for each in await tab.evaluate(_SHOWN)]


async def shows(tab: Page, count: int = 1) -> list[list[str]]:
    """Wait until so many were shown in this tab."""
    async with asyncio.timeout(deadline()):
        while len(found := await shown(tab)) < count:
            await asyncio.sleep(0.02)
    return found


async def test_two_tabs_have_one_connection_and_both_are_told(context: BrowserContext, tmp_path: Path) -> None:
    maildirs = Maildirs(tmp_path / "mail")
    maildirs.create("alice")
    with running("up", "--maildir", str(maildirs.root), "--state-dir", str(tmp_path / "state")) as program:

        def opened() -> float:
            metrics = Scrape(httpx2.get(program.url("probe", "/metrics")).text)
            return metrics.value("tidings_connections_opened_total")

        first, second = [await open_tab(context, program, "alice") for _ in range(2)]
        maildirs.deliver("alice", "For both")
        for tab in (first, second):
            await expect(row(tab, "For both")).to_be_visible()
            # A tab may find it by itself, before it is told.
            await expect(tab.locator("#pushes")).to_have_text("1")
        assert opened() == 1
        await first.close()
        await eventually(lambda: opened() == 2)
        maildirs.deliver("alice", "For the one that is left")
        await expect(row(second, "For the one that is left")).to_be_visible()
        await expect(second.locator("#pushes")).to_have_text("2")


async def test_notifications_are_asked_for_by_a_button_and_name_mails_as_text(
    watched: BrowserContext, page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    await page.clock.install()
    await open_inbox(page, tidings, account)
    maildirs.deliver(account, "Before")
    await expect(row(page, "Before")).to_be_visible()
    assert await page.evaluate("[asked, localStorage.length]") == [0, 0]
    await notify(page)
    assert await page.evaluate("asked") == 1

    maildirs.deliver(account, "<b>Lunch</b> & more", sender="Ann <ann@x.example>")
    assert await shows(page) == [["Ann", "<b>Lunch</b> & more"]]
    await page.evaluate("shown[0].dispatchEvent(new Event('click'))")
    await expect(page.locator("#subject")).to_have_text("<b>Lunch</b> & more")
    assert await page.evaluate("focused") == 1

    # What was read, flagged or deleted is no news.
    await page.get_by_role("button", name="Mark unread").click()
    await page.get_by_role("button", name="Delete").click()
    # A burst takes as long as this page's clock says.
    await page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    deliver_many(maildirs, account, 6)
    for number in range(6):
        await expect(row(page, f"number {number}")).to_be_visible()
    await page.clock.run_for(QUIET_MS)
    await page.clock.resume()
    _, (title, text) = await shows(page, 2)
    assert title == f"6 new mails for {account}"
    assert sorted(text.splitlines()) == [f"Bob: number {number}" for number in range(2, 6)]

    button = page.get_by_role("button", name="Notify")
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "false")
    await page.reload()
    assert await page.evaluate("asked") == 0
    await expect(button).to_have_attribute("aria-pressed", "false")


async def test_one_of_several_tabs_notifies(
    watched: BrowserContext, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    tabs = [await open_tab(watched, tidings, account) for _ in range(3)]
    await notify(tabs[1], tabs[0], tabs[2])
    for subject in ("First", "Second", "Third"):
        maildirs.deliver(account, subject)
        for tab in tabs:
            await expect(row(tab, subject)).to_be_visible()
        # A tab that tells of an earlier one, too, has done so by now.
        assert await shows(tabs[0]) == [["Bob", subject]]
        # Whoever leads next would tell of it again.
        for tab in tabs:
            await tab.evaluate(_BURST_IS_OVER)
        await tabs.pop(0).close()


async def test_mails_are_told_of_while_another_page_of_the_inbox_is_read(
    watched: BrowserContext, page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    deliver_many(maildirs, account, 201)
    await open_inbox(page, tidings, account)
    await notify(page)
    await page.get_by_role("button", name="Older").click()
    await expect(page.locator("#range")).to_have_text("201 of 201")
    maildirs.deliver(account, "On the first page")
    await expect(page.locator("#range")).to_have_text("201–202 of 202")
    assert await shows(page) == [["Bob", "On the first page"]]
    await expect(page.locator("#average")).to_have_text("–")
    await expect_all_counted(page, seen)


async def test_a_browser_that_refuses_is_said_to(
    context: BrowserContext, page: Page, seen: Seen, tidings: Tidings, account: str
) -> None:
    await context.add_init_script("Notification.requestPermission = async () => 'denied'")
    await open_inbox(page, tidings, account)
    button = page.get_by_role("button", name="Notify")
    await button.click()
    await expect(page.locator("#notice")).to_contain_text("do not allow notifications")
    await expect(button).to_have_attribute("aria-pressed", "false")


async def test_a_browser_whose_pages_cannot_notify_is_found_out(
    watched: BrowserContext, page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    await watched.add_init_script(
        "window.Notification = class { static permission = 'granted'; static requestPermission = async () => 'granted';"
        " constructor() { throw new TypeError('Illegal constructor'); } }"
    )
    await open_inbox(page, tidings, account)
    await notify(page)
    maildirs.deliver(account, "Hello")
    await expect(page.locator("#notice")).to_contain_text("cannot show notifications")
    await expect(page.get_by_role("button", name="Notify")).to_have_attribute("aria-pressed", "false")
