"""The examples of clients/js, each in two tabs at a real gateway whose tokens do not last."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from playwright.async_api import BrowserContext, Page, expect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.browser.clientpage import CLIENT
from tests.browser.conftest import eventually
from tests.support.gateway import SECRET, running_gateway
from tests.support.npm import tool

EXAMPLES = Path(__file__).parents[2] / "examples"
TOKEN_SECONDS = 3


class MailServer:
    """Serves an example's files, and mints the tokens of whoever has a session: everybody, until `ended`."""

    def __init__(self, folder: Path) -> None:
        self.minted = 0
        self.ended = False
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope["path"])(scope, receive, send)

    def _answer(self, path: str) -> Response:
        if path == "/token":
            if self.ended:
                return Response(status_code=401)
            self.minted += 1
            return JSONResponse({"token": jwt.encode({"sub": "alice", "exp": time.time() + TOKEN_SECONDS}, SECRET)})
        if path.startswith("/client/"):
            return FileResponse(CLIENT / path.removeprefix("/client/"))
        return FileResponse(self._folder / (path.removeprefix("/") or "index.html"))


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    source = EXAMPLES / str(request.param)
    if request.param == "browser":
        return source
    (tmp_path / "index.html").write_bytes((source / "index.html").read_bytes())
    build = ("esbuild", "main.tsx", "--bundle", "--jsx=automatic", f"--alias:tidings-client={CLIENT / 'tidings.js'}")
    tool(*build, f"--outfile={tmp_path / 'main.js'}", cwd=source)
    return tmp_path


async def shows(page: Page, text: str) -> None:
    await expect(page.locator("#fetched li").filter(has_text=text)).to_have_count(1)


@pytest.mark.parametrize("folder", ["browser", "react"], indirect=True)
async def test_it_shows_every_change_across_tokens(
    context: BrowserContext, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.auth.claims.LEEWAY_SECONDS", 0)
    server = MailServer(folder)
    async with running_gateway(fallback=server, auth="jwt", jwt_secret=SECRET) as gateway:
        pages = [await context.new_page() for _ in range(2)]
        errors: list[str] = []
        for page in pages:
            page.on("pageerror", lambda error: errors.append(error.message))
            await page.goto(f"http://127.0.0.1:{gateway.port}/")
        for page in pages:
            await expect(page.locator("#status")).to_have_text("connected")
            await shows(page, "everything")
        # None for a moment, where a token has expired meanwhile.
        await eventually(lambda: gateway.value("tidings_connections_open", format="websocket") == 1)
        for number in range(3):
            minted = server.minted
            await gateway.publish("alice", {"Email": f"state-{number}"})
            for page in pages:
                await shows(page, f"state-{number}")
            # The token has expired, and the next one was asked for.
            await eventually(lambda before=minted: server.minted > before)
        assert errors == []
        for page in pages:
            await shows(page, "everything")
        await context.close()


@pytest.mark.parametrize("folder", ["browser"], indirect=True)
async def test_the_plain_page_stops_when_the_session_is_over(
    context: BrowserContext, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.auth.claims.LEEWAY_SECONDS", 0)
    server = MailServer(folder)
    async with running_gateway(fallback=server, auth="jwt", jwt_secret=SECRET) as gateway:
        page = await context.new_page()
        await page.goto(f"http://127.0.0.1:{gateway.port}/")
        await expect(page.locator("#status")).to_have_text("connected")
        server.ended = True
        await expect(page.locator("#status")).to_have_text("stopped: logged out")
        await context.close()
