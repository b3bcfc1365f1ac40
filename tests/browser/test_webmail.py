"""The main job, as a person at a browser sees it."""

from __future__ import annotations

import re
import time
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import Seen, eventually, storage
from tests.browser.maildirs import Maildirs
from tests.browser.middlebox import Rule, middlebox
from tests.support.broker import free_ports
from tests.support.processes import Tidings
from tests.support.processes import tidings as running

PROMISED_MS = 1_000
SECRET = "a secret of thirty-two bytes or more"
HTML_NAME = "<img src=x onerror=alert(1)>"


async def open_inbox(page: Page, program: Tidings, account: str, service: str = "gateway") -> None:
    """Open the page and wait until pushes reach it."""
    await page.goto(program.url(service, f"/?account={quote(account, safe='')}"))
    await expect_connection(page, "connected")


async def expect_connection(page: Page, state: str) -> None:
    await expect(page.locator("#connection")).to_have_attribute("data-state", state)


def row(page: Page, subject: str) -> Locator:
    return page.locator(".row").filter(has=page.get_by_text(subject, exact=True))


async def expect_unread(page: Page, subject: str, unread: bool) -> None:
    await expect(row(page, subject)).to_have_attribute("data-unread", str(unread).lower())


async def test_a_delivery_by_another_program_appears_within_a_second_and_without_reload(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    await open_inbox(page, tidings, account)
    await expect(page.get_by_text("No mail yet")).to_be_visible()
    loads = [url for url in seen.requests if "/?account" in url]

    maildirs.deliver(account, "First")
    await expect(row(page, "First")).to_be_visible(timeout=PROMISED_MS)
    # On a busy machine the page may have found it by itself, before both are told in one push.
    await expect(page.locator("#pushes")).to_have_text("1")
    maildirs.deliver(account, "Second")
    await expect(row(page, "Second")).to_be_visible(timeout=PROMISED_MS)

    await expect(page.locator(".row").first).to_contain_text("Second")
    await expect(page.locator("#count")).to_have_text("2 unread of 2")
    await expect(page.locator("#pushes")).to_have_text("2")
    await expect(page.locator("#latency")).to_have_text(re.compile(r"^\d+ ms after it was stored$"))
    assert [url for url in seen.requests if "/?account" in url] == loads


async def test_a_flag_set_and_a_mail_deleted_by_another_program_show(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    read = maildirs.deliver(account, "Read elsewhere")
    gone = maildirs.deliver(account, "Deleted elsewhere")
    await open_inbox(page, tidings, account)
    await expect_unread(page, "Read elsewhere", True)

    maildirs.mark_read(account, read)
    await expect_unread(page, "Read elsewhere", False)

    maildirs.remove(account, gone)
    await expect(row(page, "Deleted elsewhere")).to_have_count(0)
    await expect(page.locator("#count")).to_have_text("0 unread of 1")
    await expect(page.locator("#latency")).to_have_text(re.compile(r"^\d+ ms after the push$"))


async def test_the_page_never_polls(page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str) -> None:
    maildirs.deliver(account, "Only one")
    await page.clock.install()
    await open_inbox(page, tidings, account)
    await expect(row(page, "Only one")).to_be_visible()
    await expect(page.locator("#polls")).to_have_text("0")
    await page.wait_for_load_state("networkidle")
    fetched = len(seen.api_requests())

    # Timers fire, once each: more time at once would pass before a real server can answer the client's probe.
    await page.clock.fast_forward(10 * 60 * 1000)

    await expect(page.locator("#polls")).to_have_text("20")
    await expect_connection(page, "connected")
    assert len(seen.api_requests()) == fetched


async def test_a_test_mail_is_delivered_as_a_real_message_and_shows_where_it_arrives(
    page: Page, seen: Seen, context: BrowserContext, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    recipient = f"{account}.friend"
    maildirs.create(recipient)
    other = await context.new_page()
    await open_inbox(other, tidings, recipient)
    await open_inbox(page, tidings, account)
    await page.bring_to_front()

    await page.get_by_role("button", name="New test mail").click()
    await page.get_by_label("To").fill("nobody here")
    await page.get_by_label("Subject").fill("Grüße <b>an</b> dich")
    await page.get_by_label("Text").fill("Zeile eins\nZeile zwei")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#draft-fault")).to_contain_text("no mailbox of this name")
    await page.get_by_label("To").fill(f"{recipient}@localhost")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#composer")).to_be_hidden()

    await expect(row(other, "Grüße <b>an</b> dich")).to_be_visible()
    (delivered,) = maildirs.messages(recipient)
    message = message_from_bytes(delivered.as_bytes(), policy=policy.default)
    assert message["subject"] == "Grüße <b>an</b> dich"
    assert message["to"].addresses[0].addr_spec == f"{recipient}@localhost"
    assert message["message-id"]
    assert message["date"]
    assert message.get_content() == "Zeile eins\nZeile zwei\n"


async def test_reading_marks_read_and_mail_can_be_marked_unread_and_deleted(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    maildirs.deliver(account, "Keep", "Kept text\n")
    maildirs.deliver(account, "Drop", "Dropped text\n")
    await open_inbox(page, tidings, account)

    await row(page, "Keep").click()
    await expect(page.locator("#body")).to_have_text("Kept text")
    await expect_unread(page, "Keep", False)
    await page.get_by_role("button", name="Mark unread").click()
    await expect_unread(page, "Keep", True)
    await page.get_by_role("button", name="Mark read").click()
    await expect_unread(page, "Keep", False)
    assert {tuple(message.get_flags()) for message in maildirs.messages(account)} == {("S",), ()}

    await row(page, "Drop").click()
    await expect(page.locator("#body")).to_have_text("Dropped text")
    await page.get_by_role("button", name="Delete").click()
    await expect(row(page, "Drop")).to_have_count(0)
    await expect(page.locator("#message")).to_be_hidden()
    assert [message["subject"] for message in maildirs.messages(account)] == ["Keep"]


async def test_a_mail_deleted_elsewhere_while_it_is_read_is_closed(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    key = maildirs.deliver(account, "Soon gone")
    await open_inbox(page, tidings, account)
    await row(page, "Soon gone").click()
    await expect_unread(page, "Soon gone", False)

    maildirs.remove(account, key)
    await expect(page.locator("#message")).to_be_hidden()


async def test_a_restart_shows_in_the_indicator_and_what_changed_meanwhile_in_the_list(
    page: Page, seen: Seen, tmp_path: Path
) -> None:
    maildirs = Maildirs(tmp_path / "mail")
    maildirs.create("alice")
    gone = maildirs.deliver("alice", "Old")
    with running("up", *storage(maildirs, tmp_path / "state")) as program:
        await open_inbox(page, program, "alice")
        await expect(row(page, "Old")).to_be_visible()
        port = program.ports["gateway"]
    await expect(page.locator("#connection")).to_have_attribute("data-state", re.compile("waiting|offline"))
    await expect(page.locator("#connection")).to_contain_text("econnecting")

    maildirs.remove("alice", gone)
    maildirs.deliver("alice", "While away")
    with running("up", "--port", str(port), *storage(maildirs, tmp_path / "state")):
        await expect_connection(page, "connected")
        await expect(row(page, "While away")).to_be_visible()
        await expect(row(page, "Old")).to_have_count(0)
        maildirs.deliver("alice", "Afterwards")
        await expect(row(page, "Afterwards")).to_be_visible()


async def test_where_upgrades_are_blocked_it_says_so_and_is_told_all_the_same(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    async with middlebox(tidings.ports["gateway"]) as box:
        box.rules = {"/jmap/ws": Rule.REFUSE}
        await page.goto(f"http://127.0.0.1:{box.port}/?account={account}")
        await expect(page.locator("#connection")).to_have_text("Connected (event stream)")
        maildirs.deliver(account, "Told over a stream")
        await expect(row(page, "Told over a stream")).to_be_visible()


async def test_an_account_whose_name_is_html_is_shown_as_text(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs
) -> None:
    maildirs.create(HTML_NAME)
    await open_inbox(page, tidings, HTML_NAME)
    maildirs.deliver_raw(HTML_NAME, b"From: <b>x</b> <x@example.org>\nSubject: For markup\n\nText\n")
    await row(page, "For markup").click()
    await expect(page.locator("#accounts")).to_have_value(HTML_NAME)
    await expect(page).to_have_title(re.compile(re.escape(HTML_NAME)))
    assert await page.locator("img[src=x]").count() == 0
    assert seen.dialogs == []


@pytest.mark.parametrize("name", ["nobody", "../mail", ".hidden", HTML_NAME + "?"])
async def test_an_account_without_a_mailbox_is_said_to_have_none(
    page: Page, seen: Seen, tidings: Tidings, name: str
) -> None:
    await page.goto(tidings.url("gateway", f"/?account={quote(name, safe='')}"))
    await expect(page.locator("#notice")).to_be_visible()
    await expect(page.locator("#notice")).to_have_text(re.compile("no mailbox of this name|must not contain"))
    assert seen.dialogs == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str, scheme: str
) -> None:
    long = "x" * 150
    maildirs.deliver(account, long, f"{long}\n" * 3, sender=f"{long} <{long}@example.org>")
    maildirs.deliver(account, "Wide", "x", html=f"<table width=2000><tr><td>{long}</td></tr></table>")
    await page.set_viewport_size({"width": 360, "height": 640})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await open_inbox(page, tidings, account)
    await expect(page.locator(".row")).to_have_count(2)
    assert await overflow(page) == 0

    for subject in (long, "Wide"):
        await row(page, subject).click()
        await expect(page.locator("#subject")).to_have_text(subject)
        await expect(page.locator("#messages")).to_be_hidden()
        assert await overflow(page) == 0
        await page.get_by_role("button", name="Inbox").click()
        await expect(page.locator("#messages")).to_be_visible()
    await page.get_by_role("button", name="New test mail").click()
    assert await overflow(page) == 0


async def overflow(page: Page) -> int:
    width = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert isinstance(width, int)
    return width


async def test_with_tokens_the_cookie_decides(page: Page, seen: Seen, context: BrowserContext, tmp_path: Path) -> None:
    maildirs = Maildirs(tmp_path / "mail")
    for name in ("carol", "team", "dave"):
        maildirs.create(name)
    maildirs.deliver("carol", "For Carol")
    secret = {"TIDINGS_JWT_SECRET": SECRET}
    with running("up", *storage(maildirs, tmp_path / "state"), "--auth", "jwt", env=secret) as program:
        await page.goto(program.url("gateway"))
        await expect(page.locator("#notice")).to_have_text("No mail: a token is required.")

        token = jwt.encode({"sub": "carol", "accounts": ["team"], "exp": time.time() + 600}, SECRET, "HS256")
        await context.add_cookies([{"name": "tidings_token", "value": token, "url": program.url("gateway")}])
        await page.goto(program.url("gateway"))
        await expect_connection(page, "connected")
        await expect(row(page, "For Carol")).to_be_visible()
        maildirs.deliver("carol", "Pushed")
        await expect(row(page, "Pushed")).to_be_visible()
        assert await page.locator("#accounts option").all_text_contents() == ["carol", "team"]

        await row(page, "Pushed").click()
        await expect_unread(page, "Pushed", False)

        await page.locator("#accounts").select_option("team")
        await expect(page).to_have_title(re.compile("team"))
        await page.goto(program.url("gateway", "/?account=dave"))
        await expect(page.locator("#notice")).to_have_text("No mail: the token does not name this account.")


async def test_a_webmail_on_its_own_announces_its_changes_and_is_pushed_to_across_origins(
    page: Page, seen: Seen, context: BrowserContext, tmp_path: Path
) -> None:
    maildirs = Maildirs(tmp_path / "mail")
    maildirs.create("alice")
    maildirs.deliver("alice", "Shared")
    (port,) = free_ports(1)
    unwatched = Maildirs(tmp_path / "unwatched")
    up = (*storage(unwatched, tmp_path / "state"), "--allow-origin", f"http://127.0.0.1:{port}")
    tokens = {"TIDINGS_INGEST_TOKENS": "ingest-token", "TIDINGS_INGEST_TOKEN": "ingest-token"}
    with running("up", *up, env=tokens) as gateway:
        urls = ("--gateway-url", gateway.url("gateway"), "--ingest-url", gateway.url("ingest"))
        flags = ("--port", str(port), "--maildir", str(maildirs.root), *urls)
        with running("webmail", *flags, env=tokens) as webmail:
            other = await context.new_page()
            await open_inbox(other, webmail, "alice", "webmail")
            await open_inbox(page, webmail, "alice", "webmail")
            await page.bring_to_front()
            await expect_unread(other, "Shared", True)

            await row(page, "Shared").click()
            await expect_unread(other, "Shared", False)
            await page.get_by_role("button", name="Delete").click()
            await expect(row(other, "Shared")).to_have_count(0)
            await eventually(lambda: maildirs.messages("alice") == [])
