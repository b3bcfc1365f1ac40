from __future__ import annotations

from pathlib import Path

import pytest

from tidings.commands.settings import UpSettings
from tidings.errors import SettingsError
from tidings.ops.settings.common import parse
from tidings.publisher.settings import PublisherSettings


def test_the_ports_of_the_design() -> None:
    settings = parse(PublisherSettings, "tidings publisher", [])
    assert (settings.host, settings.ingest_port, settings.admin_port, settings.probe_port) == (
        "127.0.0.1",
        8081,
        9190,
        9191,
    )
    assert settings.maildir is None
    assert settings.ingest_tokens is None


@pytest.mark.parametrize("flag", ["--ingest-port", "--port"])
def test_the_ingest_port_has_two_names(flag: str) -> None:
    assert parse(PublisherSettings, "tidings publisher", [flag, "7"]).ingest_port == 7


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_INGEST_PORT", "9")
    monkeypatch.setenv("TIDINGS_MAILDIR", "/srv/mail")
    monkeypatch.setenv("TIDINGS_INGEST_TOKENS", "a secret of storages")
    settings = parse(PublisherSettings, "tidings publisher", [])
    assert (settings.ingest_port, settings.maildir) == (9, Path("/srv/mail"))
    assert settings.ingest_tokens is not None
    assert "a secret" not in repr(settings)


def test_tokens_are_no_flag() -> None:
    with pytest.raises(SettingsError):
        parse(PublisherSettings, "tidings publisher", ["--ingest-tokens", "secret"])


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("", "holds an empty token: list them as one,two"),
        (" ", "holds an empty token"),
        (",", "holds an empty token"),
        ("a-token-that-is-long,", "holds an empty token"),
        ("a-token-that-is-long,,another-that-is-long", "holds an empty token"),
        ("short", "has 5 characters, and needs 16 at least"),
        ("a-token-that-is-long, fifteen-of-them", "token 2 of the list has 15 characters, and needs 16 at least"),
        ("a-token-that-is-long\n", "ends with a newline, which would be part of the secret"),
        ("a-token-that-is-long\r\n", "ends with a newline"),
        ("a-token-that\nis-long", "holds a control character"),
    ],
)
def test_tokens_that_can_be_guessed_or_never_sent_are_refused_with_the_reason(tokens: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"^TIDINGS_INGEST_TOKENS {said}") as caught:
        parse(PublisherSettings, "tidings publisher", [], {"TIDINGS_INGEST_TOKENS": tokens})
    assert "long" not in str(caught.value)


@pytest.mark.parametrize("tokens", ["sixteen-letters-", " sixteen-letters- , another-of-sixteen ", "ü" * 16])
def test_tokens_of_16_characters_are_taken(tokens: str) -> None:
    assert parse(PublisherSettings, "tidings publisher", [], {"TIDINGS_INGEST_TOKENS": tokens}).ingest_tokens


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--spool-bytes", "1"], "--spool-bytes (TIDINGS_SPOOL_BYTES): must be 0, or at least 4096"),
        (["--spool-bytes", "-1"], "--spool-bytes"),
        (["--spool-bytes", "1e30"], "--spool-bytes"),
        (["--ingest-port", "9190"], "are both 9190: each listener needs a port of its own"),
        (["--admin-port", "7", "--probe-port", "7"], "are both 7"),
        (["--host", "0.0.0.0", "--probe-host", "10.0.0.1", "--port", "7", "--probe-port", "7"], "are both 7"),
    ],
)
def test_what_makes_no_sense_is_refused(flags: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(PublisherSettings, "tidings publisher", flags, {})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "flags",
    [
        ["--spool-bytes", "0"],
        ["--spool-bytes", "4096"],
        ["--host", "10.0.0.1", "--probe-host", "10.0.0.2", "--port", "7", "--probe-port", "7"],
        ["--admin-port", "0", "--probe-port", "0", "--port", "0"],
    ],
)
def test_what_makes_sense_is_taken(flags: list[str]) -> None:
    parse(PublisherSettings, "tidings publisher", flags, {})


def test_every_field_is_described() -> None:
    assert all(field.description for field in PublisherSettings.model_fields.values())


IMAP = ("--imap-url", "imaps://mail.example", "--imap-accounts", "/etc/tidings/accounts")


def test_an_imap_server() -> None:
    settings = parse(PublisherSettings, "tidings publisher", IMAP)
    assert (settings.imap_url, settings.imap_accounts) == ("imaps://mail.example", Path("/etc/tidings/accounts"))
    assert parse(UpSettings, "tidings up", IMAP).imap_url == "imaps://mail.example"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mail.example", "has no scheme: write imaps://mail.example"),
        ("https://mail.example", "begins with https://, and must begin with imap:// or imaps://"),
        ("imaps://tidings:secret@mail.example", "must not hold a user name or a password"),
        ("imaps://mail.example/INBOX", "must end after host and port: imaps://mail.example"),
        ("imaps://mail.example:0", "has port 0"),
        ("imaps://", "names no host"),
    ],
)
def test_urls_of_other_things_are_refused(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        parse(PublisherSettings, "tidings publisher", ("--imap-url", url, *IMAP[2:]))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given", [IMAP[:2], IMAP[2:]])
def test_an_imap_server_and_its_accounts_need_each_other(given: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="--imap-url and --imap-accounts need each other"):
        parse(PublisherSettings, "tidings publisher", given)
