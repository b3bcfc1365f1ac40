from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import ImapError
from tidings.publisher.sources.imap.framing import Framer
from tidings.publisher.sources.imap.responses import (
    Capabilities,
    Condition,
    Continuation,
    Listed,
    Other,
    Response,
    Status,
    Touched,
    capabilities,
    read,
    shown,
)


def said(line: bytes) -> Response:
    (record,) = Framer().feed(line + b"\r\n")
    return read(record)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (b"* OK ready", Condition(None, b"OK", "", "ready")),
        (b"t1 ok [CAPABILITY A B] in", Condition(b"t1", b"OK", "CAPABILITY A B", "in")),
        (b"t2 NO [LIMIT] too many", Condition(b"t2", b"NO", "LIMIT", "too many")),
        (b"* BYE \xff", Condition(None, b"BYE", "", "\ufffd")),
        (b"t3 OK", Condition(b"t3", b"OK", "", "")),
        (b"+ idling", Continuation()),
        (b"+", Continuation()),
        (b"* CAPABILITY imap4rev1 IDLE", Capabilities(frozenset({"IMAP4REV1", "IDLE"}))),
        (b"* 3 EXISTS", Touched(b"EXISTS")),
        (b"* 3 fetch (FLAGS ((((", Touched(b"FETCH")),
        (b"* 3 RECENT", Other()),
        (b"* VANISHED 1:3", Touched(b"VANISHED")),
        (b"* SEARCH 1 2", Other()),
        (b"*", Other()),
    ],
)
def test_what_responses_mean(line: bytes, meant: Response) -> None:
    assert said(line) == meant


def test_a_status_has_the_numbers_that_are_asked_for() -> None:
    line = (
        b"* status inbox (messages 3 UIDNEXT 9 UIDVALIDITY 1 UNSEEN 0 HIGHESTMODSEQ 9223372036854775807 SIZE 5 (a) 1)"
    )
    numbers = {"messages": 3, "uidnext": 9, "uidvalidity": 1, "unseen": 0, "modseq": 2**63 - 1}
    assert said(line) == Status(b"INBOX", numbers)


# As Dovecot sends them.
@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"a[b", b"a[b"),
        (b"[Gmail]", b"[Gmail]"),
        (b'"we \\"ird (x"', b'we "ird (x'),
        (b'"q\\\\b"', b"q\\b"),
        (b'"NIL"', b"NIL"),
        (b"NIL", b"NIL"),
        (b"007", b"007"),
        (b"123", b"123"),
        (b'"x{3}"', b"x{3}"),
        (b'"a%b"', b"a%b"),
        (b"&AOQ-", b"&AOQ-"),
        (b'"Inbox"', b"INBOX"),
        (b"{5}\r\nINB X", b"INB X"),
        (b'"\xc3\xa4"', b"\xc3\xa4"),
    ],
)
def test_names_of_mailboxes(sent: bytes, name: bytes) -> None:
    assert said(b"* STATUS %b (MESSAGES 1)" % sent) == Status(name, {"messages": 1})
    assert said(b'* LIST (\\HasChildren \\subscribed) "/" ' + sent) == Listed(
        name, frozenset({b"\\HASCHILDREN", b"\\SUBSCRIBED"})
    )


def test_a_list_may_have_more_in_it() -> None:
    assert said(b'* LIST () NIL Old ("OLDNAME" (Archive))') == Listed(b"Old", frozenset())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1 400 Bad Request",
        b"220 smtp.example ESMTP",
        b"* STATUS INBOX",
        b"* STATUS INBOX (MESSAGES)",
        b"* STATUS INBOX (MESSAGES -1)",
        b"* STATUS INBOX (MESSAGES many)",
        b"* STATUS INBOX (MESSAGES 9223372036854775808)",
        b"* STATUS INBOX (MESSAGES " + b"9" * 5_000 + b")",
        b"* STATUS (a) (MESSAGES 1)",
        b"* STATUS {x} (MESSAGES 1)",
        b'* LIST INBOX "/" INBOX',
        b'* LIST () "/"',
        b'* LIST () "/" "INBOX',
        b"* LIST " + b"(" * 50_000,
    ],
)
def test_what_no_server_says_is_refused(line: bytes) -> None:
    with pytest.raises(ImapError) as refused:
        said(line)
    assert refused.value.reason == "protocol"
    assert len(str(refused.value)) < 300


@given(
    st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"").replace(b"}", b")")),
    st.sampled_from([b"STATUS", b"LIST", b"X"]),
)
def test_nothing_else_is_raised(line: bytes, kind: bytes) -> None:
    for whole in (line, b"* %b %b" % (kind, line)):
        try:
            said(whole)
        except ImapError as error:
            assert error.reason == "protocol"  # noqa: PT017 - most lines raise nothing


def test_capabilities_compare_without_case() -> None:
    assert capabilities("Idle auth=plain") == {"IDLE", "AUTH=PLAIN"}


def test_what_is_shown_of_a_line_is_short_and_printable() -> None:
    assert shown(b"a\x1b[31m\xff") == "a?[31m\ufffd"
    assert shown("a" * 300) == "a" * 200 + "..."
