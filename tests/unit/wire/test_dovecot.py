from __future__ import annotations

import json

import pytest

from tidings.errors import EventError
from tidings.wire.dovecot import MAX_BODY_BYTES, parse

NOTIFICATION = {
    "user": "alice@mail.example",
    "event": "messageNew",
    "folder": "INBOX",
    "imap-uidvalidity": 1795416324,
    "imap-uid": 2,
    "from": "=?utf-8?q?Zo=C3=AB?= <zoe@mail.example>",
    "subject": "SUBJECT",
    "snippet": "Hello",
    "unseen": 2,
}


def body(**members: object) -> bytes:
    return json.dumps({**NOTIFICATION, **{name.replace("_", "-"): value for name, value in members.items()}}).encode()


def test_a_delivery_is_a_new_message() -> None:
    (change,) = parse((), body(), 17.0)
    assert (change.account, change.event, change.source) == ("alice@mail.example", "MessageNew", "/dovecot")
    assert set(change.changed) == {"Email", "Mailbox", "Thread", "EmailDelivery"}
    assert (change.time, change.ingested) == (None, 17.0)


def test_nothing_of_the_mail_is_kept() -> None:
    (change,) = parse((), body(), 0.0)
    assert not any(word in repr(change) for word in ("SUBJECT", "Hello", "zoe"))


def test_what_is_dropped_may_be_any_bytes() -> None:
    assert parse((), body().replace(b"SUBJECT", b"\xff\xfe\x80"), 0.0) == parse((), body(), 0.0)


def test_the_same_delivery_has_the_same_id() -> None:
    def event_id(**members: object) -> str:
        return parse((), body(**members), 0.0)[0].id

    others: list[dict[str, object]] = [{"user": "bob"}, {"folder": "Sent"}, {"imap_uidvalidity": 1}, {"imap_uid": 3}]
    assert event_id() == event_id(subject="another", unseen=3)
    assert len({event_id(), *(event_id(**other) for other in others)}) == 5


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"user": "a/b"}, "user"),
        ({"user": 7}, "user"),
        ({"user": ""}, "user"),
        ({"event": "nothingHeardOf"}, "event"),
        ({"imap_uid": -1}, "imap-uid"),
        ({"imap_uid": 2**32}, "imap-uid"),
        ({"imap_uidvalidity": "1"}, "imap-uidvalidity"),
        ({"folder": "x" * 1025}, "folder"),
        ({"folder": None}, "folder"),
    ],
)
def test_what_is_wrong_is_said_with_its_member(members: dict[str, object], field: str) -> None:
    with pytest.raises(EventError) as raised:
        parse((), body(**members), 0.0)
    assert raised.value.status == 422
    assert [problem.field for problem in raised.value.problems] == [field]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (body() + b"x", 400),
        (b'{"user":"\xff"}', 400),
        (b'{"x":' + b"[" * 30_000, 400),
        (b"[]", 422),
        (b"{}", 422),
        (body(snippet="x" * MAX_BODY_BYTES), 413),
    ],
)
def test_what_is_no_notification_is_refused(sent: bytes, status: int) -> None:
    with pytest.raises(EventError) as raised:
        parse((), sent, 0.0)
    assert raised.value.status == status
