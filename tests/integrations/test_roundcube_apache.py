"""The plugin for Roundcube on the next Debian release, behind Apache: what test_roundcube.py has, in short."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.conftest import browser
from tests.support.roundcube import POLL_SECONDS
from tests.support.roundcube_page import log_in
from tests.support.roundcube_suite import suite

__all__ = ["browser"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_delivery_shows_and_a_gateway_may_go_away(browser: Browser, tmp_path: Path) -> None:
    with suite(tmp_path, "trixie") as installation:
        page = await log_in(browser, installation.url, "alice@mail.example")
        await page.listens()
        installation.deliver(page.user, "pushed")
        await page.shows("pushed")
        installation.up.kill()
        await page.polls_every(POLL_SECONDS)
        installation.start()
        await page.listens()
        assert [line for line in installation.requests(page) if "GET /jmap/ws " in line]
        await page.context.close()
