from __future__ import annotations

import mailbox
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from tidings.auth.settings import AuthSettings
from tidings.errors import SettingsError
from tidings.ops.http.serving import UvicornService
from tidings.ops.process.runtime import new_runtime
from tidings.ops.settings.common import parse
from tidings.webmail.service import compose, open_mailboxes
from tidings.webmail.settings import WebmailSettings

NO_TOKENS = AuthSettings(auth="none")
TOKENS = AuthSettings(auth="jwt", jwt_secret=SecretStr("a secret of thirty-two bytes or more"))


def settings(maildir: Path, **more: object) -> WebmailSettings:
    return WebmailSettings.model_validate({"port": 0, "maildir": maildir, **more})


def test_an_empty_root_gets_two_accounts_with_a_welcome(tmp_path: Path) -> None:
    root = tmp_path / "var" / "mail"
    open_mailboxes(root, NO_TOKENS)
    for account in ("alice", "bob"):
        (message,) = mailbox.Maildir(root / account, create=False)
        assert message["subject"] == "Welcome to Tidings"


def test_a_root_with_mail_is_left_alone(tmp_path: Path) -> None:
    mailbox.Maildir(tmp_path / "carol", create=True)
    assert open_mailboxes(tmp_path, NO_TOKENS).accounts() == ["carol"]


def test_with_tokens_nothing_is_made_up(tmp_path: Path) -> None:
    assert open_mailboxes(tmp_path / "mail", TOKENS).accounts() == []
    assert not (tmp_path / "mail").exists()


def test_a_root_that_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^--maildir .*file: Not a directory$"):
        open_mailboxes(tmp_path / "file", NO_TOKENS)


def test_without_tokens_it_does_not_serve_the_network(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--auth none on 0\.0\.0\.0"):
        compose(settings(tmp_path, host="0.0.0.0"), new_runtime())


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://u:p@x", "http://x/path", "http://x?q"])
def test_urls_of_other_services_are_bases(url: str) -> None:
    for flag in ("--gateway-url", "--ingest-url"):
        with pytest.raises(SettingsError, match=flag):
            parse(WebmailSettings, "tidings webmail", [flag, url])


async def test_it_serves_on_a_port_of_its_own(tmp_path: Path) -> None:
    *announcers, server = compose(settings(tmp_path, ingest_url="http://127.0.0.1:1"), new_runtime())
    assert [service.name for service in announcers] == ["refusals of clients", "announcer"]
    assert isinstance(server, UvicornService)
    await server.start()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as http:
        session = (await http.get("/api/session")).json()
    await server.stop()
    for announcer in announcers:
        await announcer.stop()
    assert session["pushUrl"] == "http://127.0.0.1:8080/jmap/ws?account=alice"
