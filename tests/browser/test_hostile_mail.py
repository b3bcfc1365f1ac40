"""Mail written by an enemy: nothing in it runs, nothing in it calls home, and nothing in it leaves its frame."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import Seen, eventually
from tests.browser.maildirs import Maildirs
from tests.browser.test_webmail import open_inbox, row
from tests.support.processes import Tidings
from tests.unit.webmail.mail.test_bounds import HOSTILE as HOSTILE_SIZES
from tests.unit.webmail.test_cases import CASES, RIGHT

MARK = "the end of the mail"
HOST, OPEN_HOST = "127.0.0.1", "127.0.0.2"
# With an icon that needs no request.
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<link rel=icon href='data:,'>Hello"
HOSTILE = {
    "script": "<script>parent.pwned = 1; alert('script')</script><script src='{url}'></script>",
    "handlers": "<img src=x onerror=\"alert('onerror')\"><body onload=\"alert('onload')\">"
    "<details open ontoggle=alert(1)>",
    "images": "<img src='{url}'><img srcset='{url} 1x'><picture><source srcset='{url}'><img src=''></picture>",
    "media": "<video src='{url}' poster='{url}' autoplay></video><audio src='{url}' autoplay></audio>",
    "refresh": "<meta http-equiv=refresh content='0;url={url}'><META HTTP-EQUIV=refresh"
    " CONTENT='0;javascript:alert(1)'>",
    "style": "<style>@import url({url}); body {{ background: url({url}) }}"
    "@font-face {{ font-family: x; src: url({url}) }}</style><p style=\"background: url('{url}')\">styled</p>",
    "links": "<link rel=stylesheet href='{url}'><link rel=preconnect href='{url}'><link rel=prefetch href='{url}'>"
    "<link rel=dns-prefetch href='{url}'><link rel=icon href='{url}'><base href='{url}'>",
    "frames": "<iframe src='{url}'></iframe><IFRAME/SRC='{url}'></IFRAME><object data='{url}'></object>"
    "<embed src='{url}'><iframe srcdoc=\"<script>alert('srcdoc')</script><img src='{url}'>\"></iframe>",
    "frameset": "<frameset><frame src='{url}'></frameset>",
    "split": "<ifr<iframe src='{url}'>ame src='{url}'></iframe><iframe\nsrc='{url}'></iframe>",
    "form": "<form action='{url}'><input name=password><input type=image src='{url}'>"
    "<button autofocus>Log in</button></form>",
    "svg": "<svg onload=\"alert('svg')\"><image href='{url}'/><use href='{url}#x'/><script>alert('in svg')</script>"
    "<foreignObject><iframe src='{url}'></iframe></foreignObject></svg>",
    "mathml": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "script links": "<a href='javascript:alert(1)'>click me</a><a href='java&#10;script:alert(2)'>or me</a>"
    "<a href='data:text/html,<script>alert(3)</script>'>or me</a>",
    "unclosed": "<div><table><script>alert(1)<style><!--<title>",
    "speculation": '<script type=speculationrules>{{"prerender":[{{"urls":["{url}"]}}]}}</script>',
    "encoded": "<img/src='x'/onerror=alert(1)><scr<script>ipt>alert(2)</scr</script>ipt>",
}
SUBJECT = "<script>alert('subject')</script><img src=x onerror=alert(1)>"
SENDER = '"<img src=x onerror=alert(2)>" <enemy@example.org>'


@dataclass
class Enemy:
    """The enemy's server. `calls` are the first lines of what connects, "" where nothing was sent.

    Connections to another address than that of `url` count once something was sent: browsers open them for later, too.
    """

    url: str
    calls: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)


@asynccontextmanager
async def enemy_server() -> AsyncIterator[Enemy]:
    enemy = Enemy("")

    async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        named = writer.get_extra_info("sockname")[0] == HOST
        place = len(enemy.calls)
        if named:
            enemy.calls.append("")
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            enemy.heads.append(head)
            if not named:
                enemy.calls.append("")
            enemy.calls[place if named else -1] = head.partition("\r\n")[0]
            writer.write(PAGE)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(call, "0.0.0.0", 0)
    enemy.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield enemy
    finally:
        server.close()


async def call_openly(context: BrowserContext, enemy: Enemy) -> None:
    """Show that the enemy's server would have heard: what was on its way before this has arrived after it.

    At another address of the host: a connection opened for a mail would otherwise serve this call, and not show.
    """
    page = await context.new_page()
    await page.goto(f"{enemy.url}/openly".replace(HOST, OPEN_HOST))
    await page.close()
    await eventually(lambda: "GET /openly HTTP/1.1" in enemy.calls)


async def test_hostile_mails_run_nothing_and_call_nobody(
    page: Page, seen: Seen, context: BrowserContext, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    async with enemy_server() as enemy:
        for name, html in HOSTILE.items():
            body = f"<p>{MARK}</p>{html.format(url=f'{enemy.url}/mail')}"
            maildirs.deliver(account, name, html=body, sender=SENDER)
        maildirs.deliver(account, SUBJECT, "<script>alert('text')</script>", sender=SENDER)
        await open_inbox(page, tidings, account)
        address = page.url
        await expect(page.locator(".row")).to_have_count(len(HOSTILE) + 1)

        for name in HOSTILE:
            await row(page, name).click()
            await expect(page.locator("#subject")).to_have_text(name)
            await expect(page.frame_locator("#body iframe").get_by_text(MARK)).to_be_visible()
        await row(page, SUBJECT).click()
        await expect(page.locator("#subject")).to_have_text(SUBJECT)
        await expect(page.locator("#from")).to_contain_text("<img src=x onerror=alert(2)>")
        await expect(page.locator("#body")).to_have_text("<script>alert('text')</script>")
        await call_openly(context, enemy)

        assert [call for call in enemy.calls if call != "GET /openly HTTP/1.1"] == []
    # A request that the policy refuses is still reported as one; it has no response.
    assert [url for url in seen.responses if not url.startswith(tidings.url("gateway", "/"))] == []
    assert seen.dialogs == []
    assert page.url == address
    assert await page.evaluate("window.pwned") is None
    assert len(context.pages) == 1


async def test_clicks_in_a_hostile_mail_run_nothing_and_send_nothing(
    page: Page, seen: Seen, context: BrowserContext, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    async with enemy_server() as enemy:
        links = "".join(
            f"<a target={target} href='{enemy.url}/{target}'>{target}</a> " for target in ("_top", "_parent")
        )
        html = "".join(HOSTILE[name] for name in ("script links", "form")).format(url=enemy.url)
        maildirs.deliver(account, "Click", html=links + html)
        await open_inbox(page, tidings, account)
        address = page.url
        await row(page, "Click").click()
        frame = page.frame_locator("#body iframe")
        for target in ("_top", "_parent", "click me"):
            await frame.get_by_text(target).click()
        await frame.get_by_role("button", name="Log in").click()
        await call_openly(context, enemy)
        assert enemy.calls == ["GET /openly HTTP/1.1"]
    assert seen.dialogs == []
    assert page.url == address


async def test_a_link_opens_a_new_tab_that_knows_nothing_of_the_mail(
    page: Page, seen: Seen, context: BrowserContext, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    async with enemy_server() as enemy:
        maildirs.deliver(account, "A link", html=f"<a href='{enemy.url}/linked'>read more</a>")
        await open_inbox(page, tidings, account)
        address = page.url
        await row(page, "A link").click()
        link = page.frame_locator("#body iframe").get_by_role("link", name="read more")
        await expect(link).to_be_visible()
        assert enemy.calls == []

        async with context.expect_page() as opening:
            await link.click()
        opened = await opening.value
        await opened.wait_for_load_state()
        assert opened.url == f"{enemy.url}/linked"
        assert await opened.evaluate("window.opener") is None
        await eventually(lambda: enemy.heads)
        assert not re.search(r"(?im)^(referer|cookie):", enemy.heads[0])
        assert page.url == address


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00\x01",
        b"Subject: =?utf-8?b?////?=\nFrom: =?x?q?=\nDate: never\n\n\xff\xff",
        b"Content-Type: text/html; charset=no-such-charset\n\n<p>text</p>",
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 2000,
        b"From: " + b"(" * 5000 + b"\nSubject: deep\n\ntext",
        b"Subject: " + b"s" * 200_000 + b"\n\n" + b"t" * 2_000_000,
    ],
    ids=["empty", "binary", "encodings", "charset", "nested", "comments", "huge"],
)
async def test_malformed_mails_are_listed_and_open(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str, raw: bytes
) -> None:
    maildirs.deliver_raw(account, raw)
    await open_inbox(page, tidings, account)
    await page.locator(".row").click()
    await expect(page.locator("#message")).to_be_visible()
    await expect(page.locator(".row")).to_have_attribute("data-unread", "false")
    await expect(page.locator("#notice")).to_be_hidden()


async def test_mails_that_were_shown_wrong_once_are_listed_and_open(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    for name in RIGHT:
        maildirs.deliver_raw(account, (CASES / f"{name}.eml").read_bytes())
    await open_inbox(page, tidings, account)
    await expect(page.locator(".row")).to_have_count(len(RIGHT))
    for right in RIGHT.values():
        await row(page, right.subject).click()
        await expect(page.locator("#subject")).to_have_text(right.subject)
        await expect(page.locator("#from")).to_contain_text(right.sender)
        await expect(page.locator("#body > iframe")).to_have_count(1 if right.html else 0)
        if not right.html:
            shown = await page.locator("#body > pre").all_text_contents()
            assert len(shown) == len(right.texts)
            assert all(map(str.startswith, shown, right.texts))
        names = await page.locator("#attachments :is(a, button):not([aria-label])").all_text_contents()
        assert tuple(names) == right.attachments
        await expect(page.locator("#notes")).to_be_hidden()
    await expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.parametrize("name", ["nested", "parts", "japanese of the vendors", "attached mails"])
async def test_a_mail_of_full_size_that_was_written_to_take_long_is_open_soon(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str, name: str
) -> None:
    maildirs.deliver_raw(account, HOSTILE_SIZES[name]())
    await open_inbox(page, tidings, account)
    await page.locator(".row").click()
    await expect(page.locator("#message")).to_be_visible()
    await expect(page.locator("#notes")).to_be_visible()
    await expect(page.locator("#notice")).to_be_hidden()
