"""SOGo of Debian, with the drop-in as its page has it: what Dovecot delivers shows in a browser, and nobody polls."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

import httpx2
import pytest
from playwright.async_api import Page, Route, WebSocket, expect

from tests.browser.conftest import deadline
from tests.support.browser import chromium
from tests.support.dovecot import PASSWORD, Dovecot
from tests.support.nginx import Nginx
from tests.support.processes import Tidings, tidings
from tests.support.resting import PLANS, Resting
from tests.support.sogo import sogo

TOKEN = "token-of-dovecot-of-sogo"
SECRET = "a secret of the gateways, of 32 bytes or more"
TOKEN_URL = "/SOGo/tidings-token"
IDLE_SECONDS = 3.0
BURST = 10
QUIET_SECONDS, LONGEST_SECONDS = 1.0, 5.0
"""After how long without changes a burst has ended, and how long a refresh waits for that at most."""


@dataclass
class Installation:
    """A Dovecot, all of Tidings in one process, and SOGo behind its web server."""

    dovecot: Dovecot
    up: Tidings
    web: Nginx

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.web.port}{path}"

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(verify=ssl.create_default_context(cafile=str(self.web.certificate)))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("sogo")
    (directory / "mail").mkdir()
    # Where Dovecot keeps what takes the publisher longer than a second.
    journal = directory / "dovecot" / "journal"
    journal.mkdir(parents=True)
    kept = ("--state-dir", str(directory / "state"), "--journal-dir", str(journal))
    flags = ("--maildir", str(directory / "mail"), *kept, "--auth", "jwt")
    env = {"TIDINGS_INGEST_TOKENS": TOKEN, "TIDINGS_JWT_SECRET": SECRET}
    with ExitStack() as stack:
        up = stack.enter_context(tidings("up", *flags, "--trusted-proxy", "127.0.0.1", env=env))
        dovecot = stack.enter_context(Dovecot("2.3", directory / "dovecot", up.ports["ingest"], TOKEN))
        web = stack.enter_context(sogo(directory, dovecot.imap_port, up.ports["gateway"], SECRET))
        yield Installation(dovecot, up, web)


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a browser, none of whose scripts has an error."""
    expect.set_options(timeout=deadline() * 1000)
    async with chromium() as browser:
        context = await browser.new_context(viewport={"width": 1200, "height": 760}, ignore_https_errors=True)
        context.set_default_timeout(deadline() * 1000)
        await context.add_init_script(PLANS)
        page = await context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert errors == []


async def test_mail_shows_when_it_arrives_without_a_poll(installation: Installation, page: Page) -> None:
    asked: list[str] = []
    resting = Resting(page, "alice")
    page.on("request", lambda request: asked.append(request.url.partition("/SOGo/so/alice")[2]))
    await page.goto(installation.url("/SOGo/"))
    await page.fill("input[ng-model='app.creds.username']", "alice")
    await page.fill("input[ng-model='app.creds.password']", PASSWORD)
    async with page.expect_websocket() as opened:
        await page.click("button[type=submit]")
    socket = await opened.value
    # Whatever the address of the connection ends up in, there is no token in it, and scripts see none.
    assert socket.url == installation.url("/jmap/ws").replace("https", "wss")
    assert "tidings_token" not in await page.evaluate("document.cookie")

    async def idle() -> list[str]:
        """What the page has asked for, once it rests and has asked for nothing more for a while."""
        before = -1
        while before != len(asked):
            before = len(asked)
            await resting.until(installation.up)
            await asyncio.sleep(IDLE_SECONDS)
        found = asked.copy()
        asked.clear()
        return found

    async def deliver(count: int) -> tuple[float, int]:
        """How many seconds it took, and how often it paused for so long that it seemed to have ended."""
        times = [time.monotonic()]
        for _ in range(count):
            await asyncio.to_thread(installation.dovecot.deliver, "alice")
            times.append(time.monotonic())
        return times[-1] - times[0], sum(later - earlier >= QUIET_SECONDS for earlier, later in pairwise(times))

    shown = page.get_by_role("listitem").filter(has_text="hello")
    await expect(page.get_by_text("No message", exact=True)).to_be_visible()
    await idle()
    await deliver(1)
    await expect(shown).to_have_count(1)
    # The list, and what says that there is new mail. Nothing else made the page look.
    assert sum(bool(re.fullmatch("/Mail/0/folderINBOX/(changes|view)", path)) for path in await idle()) == 2
    took, pauses = await deliver(BURST)
    await expect(shown).to_have_count(1 + BURST)
    # One at once, one when it is over, and one in between now and then, were the deliveries to take so long, or pause.
    assert (await idle()).count("/Mail/unseenCount") <= 2 + took / LONGEST_SECONDS + pauses
    # Another tab looks for mail, too. It has no connection of its own.
    calendar = await page.context.new_page()
    sockets: list[WebSocket] = []
    calendar.on("websocket", lambda socket: sockets.append(socket))
    first, release = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        first.set()
        await release.wait()
        await route.fulfill(response=answer)

    # SOGo's own first question says from when on mail is new. Its answer is on its way when the next mail comes.
    await calendar.route("**/folderINBOX/changes", late, times=1)
    questions: list[str] = []
    calendar.on("request", lambda request: questions.append(request.url) if request.method == "POST" else None)
    await calendar.goto(installation.url("/SOGo/so/alice/Calendar/view"))
    async with asyncio.timeout(deadline()):
        await first.wait()
    await deliver(1)
    await expect(shown).to_have_count(2 + BURST)
    # The tab has been told, too, and waits for that answer: two questions at once would be about different times.
    await asyncio.sleep(IDLE_SECONDS)
    assert sum(url.endswith("/folderINBOX/changes") for url in questions) == 1
    release.set()
    await expect(calendar.get_by_role("alert").filter(has_text="hello")).to_be_visible()
    assert sockets == []


async def test_who_is_not_logged_in_to_sogo_gets_no_token(installation: Installation) -> None:
    async with installation.client() as client:
        for cookie in ("", "0xHIGHFLYxSOGo=basic%20YWxpY2U6c2VjcmV0", "tidings_token=x"):
            answer = await client.post(installation.url(TOKEN_URL), headers={"Cookie": cookie} if cookie else {})
            assert answer.status_code == 401
            assert answer.headers["set-cookie"].startswith("tidings_token=deleted")
        login = {"userName": "alice", "password": PASSWORD}
        assert (await client.post(installation.url("/SOGo/connect"), json=login)).status_code == 200
        answer = await client.post(installation.url(TOKEN_URL))
        assert answer.status_code == 204
        (token,) = [cookie for cookie in client.cookies.jar if cookie.name == "tidings_token"]
        assert (token.path, token.secure) == ("/jmap/", True)
        assert {"HttpOnly", "SameSite"} <= set(token._rest)  # type: ignore[attr-defined]  # no other way to see these
        listening = await client.get(installation.url("/jmap/changes"))
        assert listening.status_code == 200
