from __future__ import annotations

from base64 import b64decode

import pytest

from tidings.errors import ImapError
from tidings.publisher.sources.imap.accounts_file import Login
from tidings.publisher.sources.imap.plan import authentication, holds, plan, quoted, redacted

DOVECOT = frozenset({"IMAP4REV1", "SASL-IR", "ENABLE", "IDLE", "LIST-EXTENDED", "LIST-STATUS", "CONDSTORE", "NOTIFY"})


def test_the_best_is_asked_for() -> None:
    found = plan(DOVECOT)
    assert found.enable == b"ENABLE CONDSTORE"
    assert found.notify == b"NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))"
    assert not found.idles
    items = b"MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ"
    assert found.listing == b'LIST "" "*" RETURN (SUBSCRIBED STATUS (%b))' % items
    assert found.statuses


def test_less_will_do() -> None:
    found = plan(frozenset({"IMAP4REV1", "LIST-EXTENDED", "CONDSTORE"}))
    assert (found.enable, found.notify, found.idles, found.statuses) == (None, None, False, False)
    assert found.listing == b'LIST "" "*" RETURN (SUBSCRIBED)'
    assert found.status(b'a"b') == b'STATUS "a\\"b" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)'
    oldest = plan(frozenset({"IMAP4REV1"}))
    assert oldest.listing == b'LIST "" "*"'
    assert oldest.items == "MESSAGES UIDNEXT UIDVALIDITY UNSEEN"


def test_imap4rev2_includes_what_was_extensions() -> None:
    found = plan(frozenset({"IMAP4REV2"}))
    assert found.idles
    assert found.statuses


def test_a_password_goes_by_plain() -> None:
    how = authentication(Login("bob", "hunter22"), frozenset({"AUTH=PLAIN", "SASL-IR"}), "h", 1)
    assert how.initial is None
    assert b64decode(how.command.removeprefix(b"AUTHENTICATE PLAIN ")) == b"\0bob\0hunter22"
    later = authentication(Login("bob", "hunter22"), frozenset({"AUTH=PLAIN"}), "h", 1)
    assert (later.command, b64decode(later.initial or b"")) == (b"AUTHENTICATE PLAIN", b"\0bob\0hunter22")


def test_a_master_user_says_for_whom() -> None:
    login = Login("bob", "hunter22", master="tidings")
    how = authentication(login, frozenset({"AUTH=PLAIN"}), "h", 1)
    assert b64decode(how.initial or b"") == b"bob\0tidings\0hunter22"
    with pytest.raises(ImapError, match="no AUTH=PLAIN") as refused:
        authentication(login, frozenset(), "h", 1)
    assert refused.value.reason == "unfit"


def test_servers_without_sasl_get_a_login() -> None:
    how = authentication(Login("bob", 'a"b\\'), frozenset(), "h", 1)
    assert how.command == b'LOGIN "bob" "a\\"b\\\\"'
    for login, capabilities in ((Login("bob", "a"), {"LOGINDISABLED"}), (Login("bob", "\xe4"), set[str]())):
        with pytest.raises(ImapError, match="does not take this password"):
            authentication(login, frozenset(capabilities), "h", 1)


def test_tokens() -> None:
    login = Login("b=o,b", "to.ken", token=True)
    best = authentication(login, frozenset({"AUTH=XOAUTH2", "AUTH=OAUTHBEARER"}), "mail.example", 993)
    assert best.command == b"AUTHENTICATE OAUTHBEARER"
    said = b"n,a=b=3Do=2Cb,\1host=mail.example\1port=993\1auth=Bearer to.ken\1\1"
    assert b64decode(best.initial or b"") == said
    assert best.failed == b"AQ=="
    other = authentication(login, frozenset({"AUTH=XOAUTH2", "IMAP4REV2"}), "h", 1)
    assert b64decode(other.command.removeprefix(b"AUTHENTICATE XOAUTH2 ")) == b"user=b=o,b\1auth=Bearer to.ken\1\1"
    assert other.failed == b""
    with pytest.raises(ImapError, match="no OAuth token"):
        authentication(login, frozenset({"AUTH=PLAIN"}), "h", 1)


def test_names_cannot_end_a_line() -> None:
    for name in (b"a\rb", b"a\nb", b"a\0b"):
        with pytest.raises(ImapError):
            quoted(name)


def test_what_a_server_repeats_of_a_secret_is_not_shown() -> None:
    how = authentication(Login("bob", "hunter22"), frozenset({"AUTH=PLAIN", "SASL-IR"}), "h", 1)
    said = redacted(f"unknown command {how.command.decode()} hunter22", how.secrets)
    assert said == "unknown command AUTHENTICATE PLAIN (secret) (secret)"
    assert holds([(b"* LIST {8}", b"hunter22"), b""], how.secrets)
    assert not holds([(b"* LIST {5}", b"INBOX"), b""], how.secrets)
