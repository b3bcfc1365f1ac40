"""The main job, as a person at a browser sees it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import Seen, deadline, eventually, storage
from tests.browser.maildirs import Maildirs
from tests.browser.middlebox import Rule, middlebox
from tests.support.broker import Broker
from tests.support.clients import jmap_client
from tests.support.ports import free_ports
from tests.support.processes import Tidings
from tests.support.processes import tidings as running
from tests.support.waiting import promised

PROMISED_SECONDS = 1.0
TOLD_SECONDS = 30.0
"""Clients know of an outage by then (outages.py)."""
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


@contextmanager
def lease(path: Path) -> Iterator[None]:
    """Have nobody read a file, be it root."""
    descriptor = os.open(path, os.O_RDWR)
    # So the kernel asks for a lease back.
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


async def expect_unread(page: Page, subject: str, unread: bool) -> None:
    await expect(row(page, subject)).to_have_attribute("data-unread", str(unread).lower())


async def test_a_delivery_by_another_program_appears_within_a_second_and_without_reload(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    await open_inbox(page, tidings, account)
    await expect(page.get_by_text("No mail yet")).to_be_visible()
    loads = [url for url in seen.requests if "/?account" in url]

    maildirs.deliver(account, "First")
    await expect(row(page, "First")).to_be_visible(timeout=promised(PROMISED_SECONDS) * 1000)
    # On a busy machine the page may have found it by itself, before both are told in one push.
    await expect(page.locator("#pushes")).to_have_text("1")
    allowed = promised(PROMISED_SECONDS)
    maildirs.deliver(account, "Second")
    await expect(row(page, "Second")).to_be_visible(timeout=allowed * 1000)

    await expect(page.locator(".row").first).to_contain_text("Second")
    await expect(page.locator("#count")).to_have_text("2 unread of 2")
    await expect(page.locator("#pushes")).to_have_text("2")
    await expect(page.locator("#latency")).to_have_text(re.compile(r"^\d[\d.]* m?s after it was stored$"))
    assert measured(await page.locator("#latency").inner_text()) <= allowed
    assert [url for url in seen.requests if "/?account" in url] == loads


async def test_a_list_that_breaks_off_is_fetched_again(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    await open_inbox(page, tidings, account)
    await page.evaluate("""() => {
        const { fetch } = window;
        window.fetch = () => {
            window.fetch = fetch;
            const body = new ReadableStream({ start: (stream) => stream.error(new TypeError("of the network")) });
            return Promise.resolve(new Response(body, { headers: { "Content-Type": "application/json" } }));
        };
    }""")
    maildirs.deliver(account, "First")
    await expect(row(page, "First")).to_be_visible()


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
    await expect(page.locator("#latency")).to_have_text(re.compile(r"^\d[\d.]* m?s after the push$"))


async def test_the_page_never_polls(page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str) -> None:
    async with jmap_client(tidings.url("gateway", f"/jmap/ws?account={account}", "ws")) as client:
        await client.subscribe()
        maildirs.deliver(account, "Only one")
        # From then on there is nothing that the page could be told.
        await client.changed(deadline())
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
    # One was for the session, one is what a page that polls begins with, too.
    await expect(page.locator("#fetches")).to_have_text(str(fetched - 2))
    await page.get_by_label("Polls every").select_option("1 min")
    await expect(page.locator("#polls")).to_have_text("10")
    await expect(page.locator("#lateness")).to_have_text("30 s")


async def test_the_panel_compares_what_it_took_with_polls(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    deliver_many(maildirs, account, 201)
    await open_inbox(page, tidings, account)
    average = page.locator("#average")
    await expect(page.locator("#lateness")).to_have_text("15 s")
    await expect(average).to_have_text("–")
    stored = time.time()
    key = maildirs.deliver(account, "First")
    await expect(average).to_have_text(re.compile(r"^\d[\d.]* m?s \(1 change\)$"))
    # The time of the question counts twice.
    assert measured(await average.inner_text()) <= 2 * (time.time() - stored)
    maildirs.mark_read(account, key)
    await expect(average).to_have_text(re.compile(r" \(2 changes\)$"))
    # A mail that comes onto the page because another has left it was stored long ago.
    maildirs.remove(account, key)
    await expect(row(page, "number 1")).to_be_visible()
    await expect(average).to_have_text(re.compile(r" \(2 changes\)$"))
    await expect_all_counted(page, seen)


async def expect_all_counted(page: Page, seen: Seen) -> None:
    """The panel counts what was asked for the list, but for the first time. It may be asked for still."""
    async with asyncio.timeout(deadline()):
        while True:
            shown = int(await page.locator("#fetches").inner_text())
            lists = [url for url in seen.api_requests() if "/api/messages" in url]
            if shown == len(lists) - 1:
                return
            await asyncio.sleep(0.02)


def measured(shown: str) -> float:
    """The seconds that the panel shows."""
    number, unit, *_ = shown.split()
    return float(number) / (1000 if unit == "ms" else 1)


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
    await expect(page.locator("#draft-fault")).to_contain_text("no mailbox with this name")
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


async def test_an_open_page_says_when_changes_cannot_reach_it(page: Page, seen: Seen, tmp_path: Path) -> None:
    maildirs = Maildirs(tmp_path / "mail")
    maildirs.create("alice")
    with Broker() as broker:
        bus = ("--bus", broker.fresh_url(), "--shards", "4")
        with running("up", *bus, *storage(maildirs, tmp_path / "state")) as program:
            await open_inbox(page, program, "alice")
            broker.stop()
            away = time.monotonic()
            await expect_connection(page, "stalled")
            assert time.monotonic() - away < promised(TOLD_SECONDS)
            await expect(page.locator("#connection")).to_have_text(re.compile("do not arrive"))
            maildirs.deliver("alice", "While the broker was away")
            broker.start()
            await expect_connection(page, "connected")
            await expect(row(page, "While the broker was away")).to_be_visible()


async def test_where_upgrades_are_blocked_it_says_so_and_is_told_all_the_same(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    async with middlebox(tidings.ports["gateway"]) as box:
        box.rules = {"/jmap/ws": Rule.REFUSE}
        await page.goto(f"http://127.0.0.1:{box.port}/?account={account}")
        await expect(page.locator("#connection")).to_have_text("Connected (event stream)")
        maildirs.deliver(account, "Told over a stream")
        await expect(row(page, "Told over a stream")).to_be_visible()


def deliver_many(maildirs: Maildirs, account: str, count: int) -> None:
    """Mails whose subjects are their numbers; the highest is the newest."""
    new = maildirs.root / account / "new"
    for number in range(count):
        path = maildirs.root / account / "tmp" / f"{number}.x"
        path.write_bytes(f"From: Bob\nSubject: number {number}\n\ntext {number}\n".encode())
        os.utime(path, (0, 1_000_000_000 + number))
        path.rename(new / path.name)


async def focused(page: Page) -> str | None:
    """The subject of the mail whose row has the focus."""
    subject = await page.evaluate("document.activeElement.querySelector?.('.subject')?.textContent ?? null")
    assert subject is None or isinstance(subject, str)
    return subject


async def expect_focus(page: Page, subject: str) -> None:
    await expect(row(page, subject)).to_be_focused()


@pytest.mark.parametrize("width", [1280, 390])
async def test_nothing_is_below_the_end_of_a_long_list(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str, width: int
) -> None:
    deliver_many(maildirs, account, 60)
    await page.set_viewport_size({"width": width, "height": 700})
    await open_inbox(page, tidings, account)
    await expect(page.locator(".row")).to_have_count(60)
    document = await page.evaluate("[document.documentElement.scrollHeight, document.body.scrollHeight]")
    bottom = await page.evaluate("document.querySelector('footer').getBoundingClientRect().bottom + scrollY")
    assert max(document) <= max(bottom, 700) + 1


async def test_all_mails_are_paged_through_and_counted(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    deliver_many(maildirs, account, 401)
    await open_inbox(page, tidings, account)
    older, newer = page.get_by_role("button", name="Older"), page.get_by_role("button", name="Newer")
    await expect(page.locator("#range")).to_have_text("1–200 of 401")
    await expect(row(page, "number 400")).to_be_visible()
    await expect(newer).to_be_hidden()
    await older.click()
    await expect(page.locator("#range")).to_have_text("201–400 of 401")
    await expect(page.locator(".row")).to_have_count(200)
    await expect_focus(page, "number 200")
    await row(page, "number 200").click()
    await expect(page.locator("#body")).to_have_text("text 200")
    await older.click()
    await expect(page.locator("#range")).to_have_text("401 of 401")
    await expect(older).to_be_hidden()
    # The mail that is open is on another page, and stays open.
    await expect(page.locator("#message")).to_be_visible()
    maildirs.deliver(account, "News")
    await expect(page.locator("#range")).to_have_text("401–402 of 402")
    await expect(row(page, "number 1")).to_be_visible()
    await newer.click()
    await newer.click()
    await expect(row(page, "News")).to_be_visible()
    await expect(page.locator("#count")).to_have_text("401 unread of 402")


async def test_a_keyboard_is_enough(page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str) -> None:
    deliver_many(maildirs, account, 205)
    await open_inbox(page, tidings, account)
    await expect(page.locator(".row")).to_have_count(200)
    for key, subject in (
        ("j", "number 204"),
        ("j", "number 203"),
        ("ArrowDown", "number 202"),
        ("k", "number 203"),
        ("ArrowUp", "number 204"),
    ):
        await page.keyboard.press(key)
        assert await focused(page) == subject
    await page.keyboard.press("Enter")
    await expect(page.locator("#body")).to_have_text("text 204")
    await expect(page.locator("#reader")).to_be_focused()
    await page.keyboard.press("j")
    await expect_focus(page, "number 203")

    await page.keyboard.press("Delete")
    await expect(row(page, "number 203")).to_have_count(0)
    await expect_focus(page, "number 202")
    await expect(page.locator("#subject")).to_have_text("number 204")
    await page.locator("#reader").focus()
    await page.keyboard.press("Delete")
    await expect(page.locator("#message")).to_be_hidden()
    await expect(row(page, "number 204")).to_have_count(0)
    await expect_focus(page, "number 202")
    await expect(page.locator("#count")).to_have_text("203 unread of 203")

    # Off the end of the page is the next one.
    await page.locator(".row").last.focus()
    await page.keyboard.press("j")
    await expect(page.locator("#range")).to_have_text("201–203 of 203")
    await expect_focus(page, "number 2")
    await page.keyboard.press("k")
    await expect(page.locator("#range")).to_have_text("1–200 of 203")
    await expect_focus(page, "number 3")

    # What is typed is typed.
    await page.get_by_role("button", name="New test mail").click()
    await page.get_by_label("Subject").fill("")
    await page.get_by_label("Subject").press_sequentially("jk")
    await page.keyboard.press("Delete")
    await expect(page.get_by_label("Subject")).to_have_value("jk")
    await expect(page.locator("#count")).to_have_text("203 unread of 203")


async def test_the_focus_stays_where_it_is_when_the_list_changes(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    keys = {name: maildirs.deliver(account, name) for name in ("one", "two", "three")}
    await open_inbox(page, tidings, account)
    await expect(page.locator(".row")).to_have_count(3)
    await row(page, "two").focus()
    maildirs.deliver(account, "four")
    await expect(row(page, "four")).to_be_visible()
    await expect_focus(page, "two")
    maildirs.remove(account, keys["two"])
    await expect(row(page, "two")).to_have_count(0)
    await expect(page.locator(".row:focus")).to_have_count(1)
    await row(page, "four").click()
    await expect(page.locator("#reader")).to_be_focused()
    await page.get_by_role("button", name="Delete").focus()
    await page.keyboard.press("Enter")
    await expect(row(page, "four")).to_have_count(0)
    await expect(page.locator(".row:focus")).to_have_count(1)


async def test_entries_that_cannot_be_shown_are_said(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    maildirs.deliver(account, "A mail")
    new = maildirs.root / account / "new"
    (new / "directory").mkdir()
    os.mkfifo(new / "pipe")
    (new / "link").symlink_to("nothing")
    leased = new / "leased"
    leased.write_bytes(b"Subject: cannot be read\n\nx\n")
    with lease(leased):
        await open_inbox(page, tidings, account)
        await expect(row(page, "A mail")).to_be_visible()
        await expect(page.locator("#left-out")).to_have_text(
            "3 entries of this mailbox are not files and are not shown."
        )
        unreadable = page.locator(".row").filter(has_text="a file that cannot be read")
        await expect(unreadable).to_contain_text("Resource temporarily unavailable")
        await unreadable.click()
        await expect(page.locator("#notice")).to_contain_text("Resource temporarily unavailable")
        await expect(page.locator("#count")).to_have_text("2 unread of 2")


ATTACHED = (
    b"From: Ann <ann@x.example>\nSubject: Look at this\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=o\n\n--o\n\nOUTER words\n--o\n"
    b"Content-Type: message/rfc822\nContent-Disposition: attachment; filename=phish.eml\n\n"
    b"From: Mallory <m@y.example>\nSubject: Pay\nContent-Type: multipart/mixed; boundary=i\n\n"
    b"--i\nContent-Type: text/html\n\n<h2>INNER words</h2>\n--i\nContent-Type: application/octet-stream\n"
    b"Content-Disposition: attachment; filename*=utf-8''Pr%C3%BCfung.bin\nContent-Transfer-Encoding: base64\n\n"
    b"AAECAw==\n--i--\n--o--\n"
)


async def test_an_attached_mail_is_opened_by_itself_and_files_are_saved(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str, tmp_path: Path
) -> None:
    maildirs.deliver_raw(account, ATTACHED)
    await open_inbox(page, tidings, account)
    await row(page, "Look at this").click()
    await expect(page.locator("#body")).to_have_text("OUTER words")
    assert await page.locator("#body iframe").count() == 0

    await page.get_by_role("button", name="phish.eml").click()
    await expect(page.locator("#subject")).to_have_text("Pay")
    await expect(page.locator("#from")).to_have_text("Mallory <m@y.example>")
    await expect(page.frame_locator("#body iframe").get_by_text("INNER words")).to_be_visible()
    await expect(page.get_by_role("button", name="Delete")).to_be_hidden()
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Prüfung.bin").click()
    download = await downloading.value
    assert download.suggested_filename == "Prüfung.bin"
    kept = tmp_path / "kept"
    await download.save_as(kept)
    assert kept.read_bytes() == bytes(range(4))

    await page.get_by_role("button", name="Back to the mail with this attachment").click()
    await expect(page.locator("#subject")).to_have_text("Look at this")
    await expect(page.locator("#body")).to_have_text("OUTER words")


async def test_all_texts_are_shown_in_order_and_what_is_cut_is_said(
    page: Page, seen: Seen, tidings: Tidings, maildirs: Maildirs, account: str
) -> None:
    maildirs.deliver_raw(
        account,
        b"Subject: Parts\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\nFIRST\n--o\nContent-Type: text/html\n\n"
        b"<p>SECOND <!--\n--o\nContent-Type: text/html\n\n<p>THIRD\n--o\nContent-Type: text/plain; charset=punycode\n\n"
        b"FOURTH\n--o--\n",
    )
    await open_inbox(page, tidings, account)
    await row(page, "Parts").click()
    await expect(page.locator("#body > *")).to_have_count(4)
    await expect(page.locator("#body pre")).to_have_text(["FIRST", "FOURTH"])
    for number, text in enumerate(("SECOND", "THIRD")):
        frame = page.frame_locator(f"#body iframe >> nth={number}")
        await expect(frame.get_by_text(text)).to_be_attached()
    await expect(page.locator("#notes")).to_contain_text("The charset punycode is not known here")


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
    await expect(page.locator("#notice")).to_have_text(re.compile("no mailbox with this name|must not contain"))
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
        await expect(page.locator("#notice")).to_have_text("The mail cannot be loaded: a token is required.")

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
        await expect(page.locator("#notice")).to_have_text(
            "The mail cannot be loaded: the token does not name this account."
        )


async def test_a_webmail_on_its_own_announces_its_changes_and_is_pushed_to_across_origins(
    page: Page, seen: Seen, context: BrowserContext, tmp_path: Path
) -> None:
    maildirs = Maildirs(tmp_path / "mail")
    maildirs.create("alice")
    maildirs.deliver("alice", "Shared")
    (port,) = free_ports(1)
    unwatched = Maildirs(tmp_path / "unwatched")
    up = (*storage(unwatched, tmp_path / "state"), "--allow-origin", f"http://127.0.0.1:{port}")
    tokens = {"TIDINGS_INGEST_TOKENS": "ingest-token-of-tests", "TIDINGS_INGEST_TOKEN": "ingest-token-of-tests"}
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
