"""Roundcube: from the delivery of a mail until it is on the screen, with the plugin and with Roundcube's own polls."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.report import Row
from tests.support.browser import chromium
from tests.support.roundcube import Roundcube
from tests.support.roundcube_page import RoundcubePage, log_in
from tests.support.roundcube_suite import Suite, suite

DELIVERIES: Final = 30
GAP_SECONDS: Final = (8.0, 12.0)
"""Between two deliveries: they come at any time between two polls, and none in the company of another."""
STOCK_POLL_SECONDS: Final = 60
"""Roundcube's own default."""
WATCH: Final = """() => {
    window.seenAt = {};
    const look = () => {
        for (const row of document.querySelectorAll("#messagelist tr.message td.subject span.subject a"))
            seenAt[row.textContent.trim()] ??= Date.now() / 1000;
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
}"""
COUNT: Final = "() => jQuery(document).on('ajaxSend', () => { window.asked = (window.asked ?? 0) + 1; })"


async def _delivered(of: Suite, pages: Sequence[RoundcubePage]) -> dict[str, float]:
    """When each mail's delivery began, by subject; each goes to all of them."""
    began = {}
    for number in range(DELIVERIES):
        await asyncio.sleep(random.uniform(*GAP_SECONDS))
        for page in pages:
            subject = f"mail-{number:02}-{page.user}"
            began[subject] = time.time()
            await asyncio.to_thread(of.deliver, page.user, subject)
    return began


async def _took(page: RoundcubePage, began: dict[str, float]) -> list[float]:
    """Seconds from the beginning of each delivery to this user until the mail was on the screen, sorted."""
    own = {subject: at for subject, at in began.items() if subject.endswith(page.user)}
    await page.until(f"Object.keys(seenAt).length >= {len(own)}", STOCK_POLL_SECONDS)
    seen = await page.page.evaluate("seenAt")
    return sorted(seen[subject] - at for subject, at in own.items())


async def _watched(page: RoundcubePage) -> RoundcubePage:
    await page.page.evaluate(WATCH)
    await page.page.evaluate(COUNT)
    return page


def _at(took: Sequence[float], share: float) -> str:
    seconds = took[int((len(took) - 1) * share)]
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


async def _measure(directory: Path) -> list[Row]:
    with ExitStack() as stack:
        pushed = stack.enter_context(suite(directory / "pushed"))
        without = Roundcube(
            "bookworm", directory / "stock", pushed.dovecot.imap_port, plugins=(), poll=STOCK_POLL_SECONDS
        )
        stack.enter_context(without)
        async with chromium() as browser:
            plugin = await log_in(browser, pushed.url, "alice@mail.example")
            await plugin.listens()
            stock = await log_in(browser, f"http://127.0.0.1:{without.port}/", "bob@mail.example")
            pages = [await _watched(page) for page in (plugin, stock)]
            started = time.monotonic()
            began = await _delivered(pushed, pages)
            told, polled = [await _took(page, began) for page in pages]
            minutes = (time.monotonic() - started) / 60
            asked, by_polls = [await page.page.evaluate("window.asked ?? 0") for page in pages]
    return [
        Row(
            f"Roundcube 1.6 with the plugin, from a delivery over LMTP to the screen, {DELIVERIES} mails",
            f"p50 {_at(told, 0.5)}, p90 {_at(told, 0.9)}",
            "p50 below 300 ms",
            f"stock, polls every {STOCK_POLL_SECONDS} s: p50 {_at(polled, 0.5)}, p90 {_at(polled, 0.9)}",
        ),
        Row(
            f"Roundcube 1.6 with the plugin, requests of the page in these {minutes:.0f} minutes",
            f"{asked}",
            f"{DELIVERIES}: one for each mail",
            f"stock: {by_polls}",
        ),
    ]


def measure() -> list[Row]:
    """One Chromium, one Dovecot; two Roundcubes, each with a page."""
    with TemporaryDirectory() as directory:
        return asyncio.run(_measure(Path(directory)))
