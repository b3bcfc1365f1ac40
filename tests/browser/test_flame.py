"""Profiles as flame graphs, from the index of profiles, in a real browser and without anything from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.conftest import Seen
from tests.support.processes import Tidings
from tests.support.waiting import patient

GRAPH_SECONDS = 20.0
"""Five seconds of profile, and a browser that compiles half a megabyte of JavaScript."""


async def open_graph(page: Page, tidings: Tidings, name: str) -> None:
    await page.goto(tidings.url("admin", "/debug/pprof/"))
    row = page.locator("tr", has=page.get_by_role("link", name=name, exact=True))
    await row.get_by_role("link", name="flame graph").click()
    await expect(page).to_have_title(f"{name} - speedscope", timeout=patient(GRAPH_SECONDS) * 1000)


async def test_tasks_as_a_flame_graph(page: Page, seen: Seen, tidings: Tidings, tmp_path: Path) -> None:
    await open_graph(page, tidings, "goroutine")
    # The rest is drawn on a canvas; the table beside it is text.
    await page.get_by_text("Sandwich").click()
    await expect(page.get_by_text("asyncio.runners.Runner.run").first).to_be_visible(
        timeout=patient(GRAPH_SECONDS) * 1000
    )
    own = tidings.url("admin")
    assert [url for url in seen.requests if not url.startswith((own, "data:", "blob:"))] == []
    await page.get_by_text("Left Heavy").click()
    picture = Path(os.environ.get("SCREENSHOTS", tmp_path)) / "flame.png"
    await page.screenshot(path=picture)
    assert picture.stat().st_size > 10_000


async def test_seconds_of_cpu_as_a_flame_graph(page: Page, seen: Seen, tidings: Tidings) -> None:
    await open_graph(page, tidings, "wall")


async def test_only_its_own_files_are_served(page: Page, tidings: Tidings) -> None:
    for path, status in (
        ("nothing.js", 404),
        ("LICENSE", 404),
        ("..%2Fpages.py", 400),
        ("%2e%2e/pages.py", 404),
        (f"{'a' * 300}.js", 404),
    ):
        answer = await page.request.get(tidings.url("admin", f"/debug/flame/{path}"))
        assert answer.status == status
    answer = await page.request.get(tidings.url("admin", "/debug/flame/"))
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';")
