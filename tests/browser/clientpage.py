"""A page that has nothing but clients/js, and what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.browser.conftest import deadline

CLIENT = Path(__file__).parents[2] / "clients" / "js"
BLANK = b"<!doctype html><link rel=icon href='data:,'>"
_START = """async ({ options, fails }) => {
    const { TidingsClient } = await import("/tidings.js");
    window.told = [];
    window.client = new TidingsClient({
        ...options,
        onChange: (changed) => { told.push({ changed }); if (fails) throw new Error("of the page"); },
        onStatus: (status) => told.push(status),
        onCursor: (cursor) => told.push({ cursor }),
        ...(options.url === undefined && { url: () => { told.push("url"); return window.address; } }),
        ...(options.jitter !== undefined && { random: () => options.jitter }),
    });
}"""


def content(path: str) -> tuple[bytes, str]:
    """The body and the type of what the page is made of."""
    if path.endswith(".js"):
        return (CLIENT / path.removeprefix("/")).read_bytes(), "text/javascript"
    return BLANK, "text/html"


async def serve_page(scope: Scope, receive: Receive, send: Send) -> None:
    body, media_type = content(scope["path"])
    await Response(body, media_type=media_type)(scope, receive, send)


async def start(page: Page, *, fails: bool = False, **options: object) -> None:
    """Start a client. Without `url` it asks for `window.address`; `jitter` is what it takes for random."""
    await page.evaluate(_START, {"options": options, "fails": fails})


async def told(page: Page) -> list[Any]:
    """What the client has called back with, so far."""
    found = await page.evaluate("told")
    assert isinstance(found, list)
    return found


async def until(page: Page, expression: str) -> None:
    await page.wait_for_function(expression, timeout=deadline() * 1000)


async def state(page: Page, name: str) -> None:
    await until(page, f"client.status.state === '{name}'")
