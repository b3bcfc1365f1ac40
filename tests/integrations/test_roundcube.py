"""The plugin for Roundcube: real Roundcube in a real browser, on a real Dovecot that tells a real gateway."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise

import jwt
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from tests.browser.conftest import browser
from tests.support.keys import pem, private_key, private_pem
from tests.support.roundcube import POLL_SECONDS, Roundcube
from tests.support.roundcube_page import RoundcubePage, log_in
from tests.support.roundcube_suite import Suite, suite
from tests.support.waiting import eventually, patient, within

__all__ = ["browser"]
pytestmark = pytest.mark.asyncio(loop_scope="session")
SECONDS = 20.0
SETTLED_SECONDS = 3.0
"""A page that has asked for nothing for so long is at rest: longer than the pause between two refreshes."""
QUIET_SECONDS, LONGEST_SECONDS = 1.0, 5.0
"""How long no changes come where they have ended, and how long a refresh waits for that at most (refresher.js)."""
IDLE_SECONDS = 60
"""Six of Roundcube's polls."""
TOKEN_SECONDS = 25
"""Renewed after 20 s. The gateway closes the connection 30 s after the end of the token that it was opened with."""
NOTIFICATIONS = """() => {
    window.notified = [];
    window.Notification = class {
        static requestPermission(answer) { answer("granted"); }
        constructor(title) { notified.push(title); }
        close() {}
    };
}"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with suite(tmp_path_factory.mktemp("roundcube")) as installed:
        yield installed


@pytest_asyncio.fixture(loop_scope="session")
async def alice(installation: Suite, browser: Browser) -> AsyncIterator[RoundcubePage]:
    """Her page, which listens, and shows two folders beside the inbox."""
    installation.make_folders("alice@mail.example", "Work", "Trash")
    page = await log_in(browser, installation.url, "alice@mail.example")
    await page.listens()
    yield page
    await page.context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def erin(installation: Suite, browser: Browser) -> AsyncIterator[RoundcubePage]:
    """Is logged in, for tests that look at what Roundcube answers."""
    page = await log_in(browser, installation.url, "erin@mail.example")
    await page.listens()
    yield page
    await page.context.close()


@pytest.fixture
def plugin(installation: Suite) -> Iterator[Roundcube]:
    """Roundcube, whose plugin is set up otherwise for this test."""
    yield installation.roundcube
    installation.roundcube.configure()


async def settle(installation: Suite, *pages: RoundcubePage) -> None:
    """Wait until the pages are at rest, and all that they have asked for is in the log."""

    def asked() -> int:
        return sum(len(installation.requests(page)) for page in pages)

    before = -1
    async with within(SECONDS):
        while before != asked():
            before = asked()
            for page in pages:
                await page.until("jQuery.active === 0")
                await page.rests(installation.up)
            await asyncio.sleep(SETTLED_SECONDS)


async def test_a_delivery_shows_and_roundcube_notifies(installation: Suite, alice: RoundcubePage) -> None:
    await alice.page.evaluate(NOTIFICATIONS)
    installation.deliver(alice.user, "first")
    await alice.shows("first")
    await alice.until("notified.length === 1")


async def test_the_page_is_told_neither_key_nor_token(installation: Suite, alice: RoundcubePage) -> None:
    (token,) = [cookie for cookie in await alice.context.cookies() if cookie["name"] == "tidings_token"]
    assert (token["path"], token["httpOnly"], token["secure"], token["sameSite"]) == ("/jmap", True, True, "Strict")
    known = await alice.page.content() + await alice.page.evaluate("document.cookie + JSON.stringify(rcmail.env)")
    assert token["value"] not in known
    assert installation.roundcube.secret not in known
    assert not [line for line in installation.front.requests() if token["value"] in line]
    await alice.page.evaluate("rcmail.command('logout')")
    await alice.page.wait_for_selector("#rcmloginuser")
    assert "tidings_token" not in {cookie["name"] for cookie in await alice.context.cookies()}


async def test_mail_in_another_folder_shows_its_unread_count(installation: Suite, alice: RoundcubePage) -> None:
    unread = alice.folder("Work").locator(".unreadcount")
    before = int(await unread.text_content() or 0) if await unread.count() else 0
    installation.append(alice.user, "Work", "filed")
    await expect(unread).to_have_text(str(before + 1))


async def test_a_burst_makes_two_refreshes_at_most(installation: Suite, alice: RoundcubePage) -> None:
    times = [time.monotonic()]

    def deliver() -> None:
        for number in range(20):
            installation.deliver(alice.user, f"burst-{number:02}")
            times.append(time.monotonic())

    before = len(installation.refreshes(alice))
    await asyncio.to_thread(deliver)
    took = times[-1] - times[0]
    pauses = sum(later - earlier >= QUIET_SECONDS for earlier, later in pairwise(times))
    for number in (0, 19):
        await alice.shows(f"burst-{number:02}")
    await settle(installation, alice)
    # And one now and then in between, were the deliveries to take so long, or to pause.
    assert len(installation.refreshes(alice)) - before <= 2 + took // LONGEST_SECONDS + pauses


async def test_what_the_user_does_makes_one_refresh(installation: Suite, alice: RoundcubePage) -> None:
    installation.deliver(alice.user, "own")
    await alice.shows("own")
    row = alice.row("own")

    async def flag() -> None:
        # The icon is shown only to whom points at it.
        await row.hover()
        await row.locator(".flag span").click(force=True)
        await expect(row).to_have_class(re.compile("flagged"))

    async def read() -> None:
        await row.click()
        await expect(row).not_to_have_class(re.compile("unread"))

    async def delete() -> None:
        # Not by a key: whether the list or the preview has the focus by then depends on how fast the machine is.
        await alice.until("!rcmail.busy && rcmail.commands.delete")
        await alice.page.evaluate("rcmail.command('delete')")
        # Roundcube hides a row that is moved away. The next list has none.
        await expect(row).to_be_hidden()

    async def makes_one_refresh(act: Callable[[], Awaitable[None]]) -> None:
        await settle(installation, alice)
        before = len(installation.refreshes(alice))
        await act()
        await eventually(lambda: len(installation.refreshes(alice)) > before)
        await settle(installation, alice)
        assert len(installation.refreshes(alice)) == before + 1

    await makes_one_refresh(flag)
    await makes_one_refresh(read)
    await makes_one_refresh(delete)


async def test_the_page_is_not_locked_and_no_answer_comes_into_another_folder(
    installation: Suite, alice: RoundcubePage
) -> None:
    asked, held = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        asked.set()
        await held.wait()
        await route.fulfill(response=answer)

    await alice.page.route("**/*_action=refresh*", hold)
    installation.deliver(alice.user, "late")
    async with within(SECONDS):
        await asked.wait()
    assert not await alice.page.evaluate("rcmail.busy")
    await alice.folder("Work").locator("a").click()
    await alice.until("rcmail.env.mailbox === 'Work' && !rcmail.busy")
    before = len(installation.refreshes(alice))
    held.set()
    # What was dropped is asked for again.
    await eventually(lambda: len(installation.refreshes(alice)) > before)
    await alice.until("jQuery.active === 0")
    await expect(alice.row("late")).to_have_count(0)
    await alice.folder("INBOX").locator("a").click()
    await alice.shows("late")


async def test_nothing_is_asked_while_nothing_happens_but_new_tokens(
    installation: Suite, alice: RoundcubePage, plugin: Roundcube, browser: Browser
) -> None:
    """Alice's token lasts. Bob's is renewed in time: the gateway closes his connection, and lets him back in."""
    plugin.configure(lifetime=str(TOKEN_SECONDS))
    bob = await log_in(browser, installation.url, "bob@mail.example")
    await bob.listens()
    await settle(installation, alice, bob)
    of_alice, of_bob = (installation.requests(page) for page in (alice, bob))
    await asyncio.sleep(IDLE_SECONDS)
    assert installation.requests(alice) == of_alice
    asked = installation.requests(bob)[len(of_bob) :]
    renewals = [line for line in asked if "POST /?_task=mail&_action=plugin.tidings " in line]
    connections = [line for line in asked if "GET /jmap/ws " in line]
    assert len(renewals) >= IDLE_SECONDS // TOKEN_SECONDS
    assert connections
    assert len(asked) == len(renewals) + len(connections)
    await bob.listens()
    installation.deliver(bob.user, "renewed")
    await bob.shows("renewed")
    await bob.context.close()


async def test_without_a_gateway_roundcube_polls_as_before(installation: Suite, alice: RoundcubePage) -> None:
    installation.up.kill()
    await alice.polls_every(POLL_SECONDS)
    before = len(installation.refreshes(alice))
    installation.deliver(alice.user, "polled")
    await eventually(lambda: len(installation.refreshes(alice)) > before, POLL_SECONDS)
    await alice.shows("polled")
    installation.start()
    await alice.listens()
    installation.deliver(alice.user, "pushed")
    await alice.shows("pushed")


async def test_users_choose_in_their_language(installation: Suite, browser: Browser) -> None:
    carol = await log_in(browser, installation.url, "carol@mail.example", "de-DE")
    await carol.listens()
    await carol.page.goto(f"{installation.url}?_task=settings&_action=edit-prefs&_section=mailbox&_framed=1")
    label = carol.page.locator("label.col-form-label[for=_tidings_enabled]")
    await expect(label).to_have_text("Änderungen sofort anzeigen")
    await carol.page.locator("#_tidings_enabled").uncheck(force=True)
    async with carol.page.expect_navigation():
        await carol.page.evaluate("rcmail.gui_objects.editform.submit()")
    await carol.page.goto(f"{installation.url}?_task=mail")
    await carol.until("rcmail.loaded")
    assert await carol.page.evaluate("[rcmail.env.tidings, rcmail.env.refresh_interval]") == [None, POLL_SECONDS]
    await carol.context.close()


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
async def test_tokens_are_as_they_are_configured(
    algorithm: str, installation: Suite, plugin: Roundcube, erin: RoundcubePage
) -> None:
    claims = "['iss' => 'roundcube', 'aud' => 'tidings', 'sub' => 'no account']"
    if algorithm == "HS256":
        key = "of-32-bytes-and-in-the-settings-"
        given = {"secret": f"'{key}'"}
    else:
        pair = private_key(algorithm)
        key = pem(pair).decode()
        given = {"key_file": f"'{plugin.keep('pair.pem', private_pem(pair).decode())}'"}
    plugin.configure(account="'%n, %d, %u'", claims=claims, lifetime="300", **given)
    began = time.time()
    await erin.context.request.get(f"{installation.url}?_task=mail")
    (token,) = [cookie["value"] for cookie in await erin.context.cookies() if cookie["name"] == "tidings_token"]
    said = jwt.decode(token, key, algorithms=[algorithm], audience="tidings", issuer="roundcube")
    assert said.pop("exp") == pytest.approx(began + 300, abs=patient(5))
    assert said == {"iss": "roundcube", "aud": "tidings", "sub": "erin, mail.example, erin@mail.example"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"key_file": "'/nowhere'"}, "tidings_key_file cannot be read: /nowhere"),
        ({"secret": "'short'"}, "the secret has less than 32 bytes"),
        ({"secret": "'-----BEGIN NOTHING-----'"}, "the key is not a private key in PEM"),
    ],
)
async def test_without_a_key_the_log_says_so_and_the_page_is_roundcubes_own(
    given: dict[str, str], reason: str, installation: Suite, plugin: Roundcube, erin: RoundcubePage
) -> None:
    plugin.configure(**given)
    mailbox = await (await erin.context.request.get(f"{installation.url}?_task=mail")).text()
    assert '"messagelist"' in mailbox
    assert "tidings.js" not in mailbox
    renewal = await erin.context.request.post(f"{installation.url}?_task=mail&_action=plugin.tidings")
    assert renewal.status == 500
    assert f"tidings: {reason}" in plugin.errors()


async def test_only_the_web_server_reads_what_may_be_secret(installation: Suite) -> None:
    for path in ("/etc/roundcube/tidings.key", "/etc/roundcube/plugins/tidings/config.inc.php"):
        code = f"echo decoct(fileperms('{path}') & 0777), ' ', posix_getgrgid(filegroup('{path}'))['name'];"
        assert installation.roundcube.php(code) == "640 www-data"


async def test_settings_are_documented_as_they_are(installation: Suite) -> None:
    documented = installation.roundcube.php("include 'config.inc.php.dist'; echo json_encode($config);")
    code = "echo json_encode((new ReflectionClass('tidings'))->getConstant('DEFAULTS'));"
    assert installation.roundcube.php(f"class rcube_plugin {{}} include 'tidings.php'; {code}") == documented
