"""A page of Roundcube in a browser: logged in, listening, and what it shows."""

from __future__ import annotations

import base64

from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from tests.support.dovecot import PASSWORD
from tests.support.processes import Tidings
from tests.support.resting import PLANS, Resting
from tests.support.waiting import patient

STEP_SECONDS = 15.0
_LISTENS = "rcmail.env.tidings && rcmail.env.refresh_interval === rcmail.env.tidings.poll"
"""The plugin slows Roundcube's polls down once it is told of every change."""


async def log_in(browser: Browser, url: str, user: str, language: str = "en-US") -> RoundcubePage:
    """The mailbox of a user, in a browser profile of its own. Requests name the user as their agent."""
    context = await browser.new_context(
        ignore_https_errors=True, user_agent=f"of-{user}", locale=language, permissions=["notifications"]
    )
    milliseconds = patient(STEP_SECONDS) * 1000
    context.set_default_timeout(milliseconds)
    expect.set_options(timeout=milliseconds)
    await context.add_init_script(PLANS)
    page = await context.new_page()
    logged_in = RoundcubePage(page, context, user)
    await page.goto(url)
    await page.fill("#rcmloginuser", user)
    await page.fill("#rcmloginpwd", PASSWORD)
    await page.click("#rcmloginsubmit")
    await page.wait_for_selector("#messagelist", state="attached")
    return logged_in


class RoundcubePage:
    """`agent` is what its requests say of themselves."""

    def __init__(self, page: Page, context: BrowserContext, user: str) -> None:
        self.page = page
        self.context = context
        self.user = user
        self.agent = f"of-{user}"
        self._resting = Resting(page, user)

    async def until(self, expression: str, seconds: float = STEP_SECONDS) -> None:
        """Wait until JavaScript says so; `seconds` as for `patient`."""
        await self.page.wait_for_function(expression, timeout=patient(seconds) * 1000)

    async def listens(self) -> None:
        """Wait until the page listens, and shows what is there now."""
        await self.until(_LISTENS)
        await self.until("!rcmail.busy && jQuery.active === 0")

    async def rests(self, up: Tidings) -> None:
        """Wait until the page has been told of all that is in the log, and neither asks nor plans to."""
        await self._resting.until(up)
        await self.until("planned.size === 0 && jQuery.active === 0")

    async def polls_every(self, seconds: int) -> None:
        """Wait until Roundcube polls at this interval."""
        await self.until(f"rcmail.env.refresh_interval === {seconds}")

    def row(self, subject: str) -> Locator:
        """A message in the list."""
        return self.page.locator("#messagelist tr.message").filter(has_text=subject)

    def folder(self, name: str) -> Locator:
        """A folder in the tree."""
        return self.page.locator(f"#rcmli{base64.b64encode(name.encode()).decode().rstrip('=')}")

    async def shows(self, subject: str) -> None:
        """Wait until a message is in the list."""
        await expect(self.row(subject)).to_have_count(1)
