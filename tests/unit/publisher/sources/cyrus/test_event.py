from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import NotificationError
from tidings.publisher.sources.cyrus.event import MAX_URI, Event, read_event

STATES = {"Mailbox": "7", "Email": "11", "Quota": "8", "Calendar": "0"}


def read(
    uri: str = "imap://vm/user/alice;UIDVALIDITY=1",
    *,
    virtual_domains: bool = False,
    states: object = STATES,
    kind: str = "e",
    **members: object,
) -> Event | None:
    event = {"event": "MessageRead", "uri": uri, "vnd.cmu.mbtype": kind, "vnd.fastmail.jmapStates": states, **members}
    return read_event(json.dumps(event).encode(), virtual_domains=virtual_domains)


def owner(mailbox: str, *, virtual_domains: bool = False) -> str | None:
    event = read(f"imap://vm/{mailbox};UIDVALIDITY=1/;UID=1", virtual_domains=virtual_domains)
    return None if event is None else event.account


def test_the_state_is_the_highest_of_those_that_are_told() -> None:
    assert read() == Event("alice", "MessageRead", 11)
    assert read(modseq=12) == Event("alice", "MessageRead", 12)
    states = {"Mailbox": 13, "Email": 7}
    assert read(modseq=12, states=states) == Event("alice", "MessageRead", 13)


def test_an_event_without_states_has_none() -> None:
    event = {"event": "FlagsSet", "uri": "imap://vm/user/alice"}
    assert read_event(json.dumps(event).encode(), virtual_domains=False) == Event("alice", "FlagsSet", None)


@pytest.mark.parametrize("state", ["", "-1", "x", "1" * 21, -1, "1.0"])
def test_a_state_that_is_no_number_is_none(state: object) -> None:
    assert read(states={"Email": state}) == Event("alice", "MessageRead", None)


@pytest.mark.parametrize("name", ["QuotaExceed", "QuotaWithin", "QuotaChange"])
def test_a_quota_is_no_mail(name: str) -> None:
    assert read(event=name) is None


def test_the_account_is_the_owner_of_the_mailbox_whoever_has_changed_it() -> None:
    assert owner("user/alice") == "alice"
    assert owner("user/alice/Archive/2026") == "alice"
    assert read(user="bob") == Event("alice", "MessageRead", 11)


def test_names_are_decoded() -> None:
    assert owner("user/zo%C3%AB/x%23%3By") == "zoë"
    assert owner("user/a%20b") == "a b"


def test_names_where_dots_are_between_the_levels() -> None:
    assert owner("user.alice.Archive") == "alice"
    assert owner("user.zoe^doe.Archive") == "zoe.doe"


def test_a_domain_is_part_of_the_name_where_there_are_virtual_domains() -> None:
    assert owner("user/alice/Work@mail.example", virtual_domains=True) == "alice@mail.example"
    assert owner("user/alice%40mail.example", virtual_domains=True) == "alice@mail.example"
    assert owner("user.zoe^doe@mail.example", virtual_domains=True) == "zoe.doe@mail.example"
    assert owner("user/alice/Work", virtual_domains=True) == "alice"
    assert owner("user/alice/a@b@mail.example", virtual_domains=True) == "alice@mail.example"


def test_an_at_sign_is_part_of_a_folder_where_there_are_none() -> None:
    assert owner("user/alice/a@b") == "alice"
    assert owner("user/alice@mail.example/Work") == "alice@mail.example"


@pytest.mark.parametrize(
    "mailbox", ["shared/lists", "DELETED/user/alice/x", "users/alice", "", "user", "user/alice/%23calendars/x"]
)
def test_what_is_of_no_users_mail_is_nothing(mailbox: str) -> None:
    assert owner(mailbox) is None


def test_another_type_of_mailbox_is_nothing() -> None:
    assert read(kind="c") is None
    assert read(kind="el") is not None


@pytest.mark.parametrize("uri", ["", "imap://vm", "http://vm/user/alice", "imap://vm/user/" + "a" * MAX_URI])
def test_an_event_without_a_mailbox_is_nothing(uri: str) -> None:
    assert read(uri) is None


def test_an_account_begins_with_its_inbox() -> None:
    begun = read(event="MailboxCreate")
    assert begun is not None
    assert begun.begins_account
    for event in (read("imap://vm/user/alice/Old", event="MailboxCreate"), read()):
        assert event is not None
        assert not event.begins_account


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"event":1}',
        b'{"event":"a b"}',
        b'{"event":"' + b"a" * 129 + b'"}',
        b'{"event":"a","modseq":"1"}',
        b'{"event":"a","x":' + b"[" * 100_000,
        b'{"event":"a","uri":"imap://vm/user/\\ud800"}',
        b'{"event":"FlagsSet","uri":"imap://vm/user/%FF"}',
        b'{"event":"FlagsSet","uri":"imap://vm/user/a%00"}',
        b'{"event":"FlagsSet","uri":"imap://vm/user/' + b"a" * 256 + b'"}',
        b'{"event":"FlagsSet","uri":"imap://vm/user//Work"}',
    ],
)
def test_what_is_no_event_is_refused(message: bytes) -> None:
    with pytest.raises(NotificationError, match="an event "):
        read_event(message, virtual_domains=False)


@given(st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable() and not set(name) & set("/@")))
def test_whatever_a_user_is_called(name: str) -> None:
    assert owner(f"user/{quote(name)}/Work") == name


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(message: bytes) -> None:
    try:
        event = read_event(message, virtual_domains=True)
    except NotificationError:
        return
    assert event is None or event.account
