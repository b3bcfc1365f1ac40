from __future__ import annotations

import pytest

from tidings.errors import SettingsError
from tidings.publisher.sources.imap.accounts_file import Credential, Entry, Login, parse

FILE = """\
# Who may read all mail.
master tidings password=m4ster#secret

alice@example.test
bob@example.test  password="with a blank"
  # carol has a token
carol token=ey.J.0
dave token-file=dave.token
"""


def test_a_file() -> None:
    found = parse(FILE, 10)
    assert found == {
        "alice@example.test": Entry("alice@example.test", Credential("m4ster#secret"), "tidings", 4),
        "bob@example.test": Entry("bob@example.test", Credential("with a blank"), "", 5),
        "carol": Entry("carol", Credential("ey.J.0", token=True), "", 7),
        "dave": Entry("dave", Credential(token=True, token_file="dave.token"), "", 8),
    }
    assert [entry.line for entry in found.values()] == [4, 5, 7, 8]
    assert found["alice@example.test"].login() == Login("alice@example.test", "m4ster#secret", master="tidings")
    assert found["dave"].login("fresh") == Login("dave", "fresh", token=True)


def test_where_an_account_is_in_the_file_makes_no_difference() -> None:
    assert parse("a password=b", 1) == parse("\n\na password=b\r\n", 1)
    assert parse("a password=b", 1) != parse("a password=c", 1)


def test_an_empty_file_names_nobody() -> None:
    assert parse("", 1) == {}


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a password=s3cret\na", "2: 'a' is on line 1 already"),
        ("a", "1: 'a' has no password=, token= or token-file=, and there is no master user"),
        ("a password=s3cret\nb password=s3cret\nc password=s3cret", "3: more than 2 accounts (--imap-max-connections)"),
        ('a password="s3cret', "1: no closing quotation"),
        ("a password=s3cret more", "1: more than one word after the name"),
        ("a s3cret", "1: after the name, password=, token=, token-file= or nothing is expected"),
        ("a passwd=s3cret", "1: after the name, password="),
        ("a password=", "1: password= is empty"),
        ("password=s3cret", "1: must begin with a login name"),
        ("a password=s3cret\x07", "1: has an empty word, or a control character"),
        ('"" password=s3cret', "1: has an empty word"),
        ("master password=s3cret", "1: must be `master LOGIN password=...`"),
        ("master a token=s3cret", "1: must be `master LOGIN password=...`"),
        ("master", "1: must be `master LOGIN password=...`"),
        ("master a", "1: must be `master LOGIN password=...`"),
        ("master a password=s3cret\nmaster b password=s3cret", "2: a second master user"),
    ],
)
def test_faults_name_the_line_and_no_secret(text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(text, 2)
    assert str(refused.value).startswith(fault)
    assert SECRET not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    (entry,) = parse("a password=s3cret", 1).values()
    assert SECRET not in repr(entry) + repr(entry.login())
