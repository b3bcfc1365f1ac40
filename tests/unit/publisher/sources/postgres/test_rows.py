from __future__ import annotations

import pytest

from tidings.publisher.sources.postgres.rows import SOURCE, Row, change_of
from tidings.wire.change import ACCOUNT_CHANGED, Change


def row(account: str = "alice", kind: str = "FlagsSet", changed: str | None = None) -> Row:
    return Row(7, "id-7", account, kind, changed, 1.5, 0.25)


MAIL: dict[str, str | None] = {"Email": None, "Mailbox": None, "Thread": None}


@pytest.mark.parametrize(
    ("told", "change"),
    [
        (row(), Change("alice", MAIL, "FlagsSet", "id-7", SOURCE, 1.5, 2.0)),
        (row(kind="mail.flagsset"), Change("alice", MAIL, "FlagsSet", "id-7", SOURCE, 1.5, 2.0)),
        (row(changed='{"Email": "s"}'), Change("alice", {"Email": "s"}, "FlagsSet", "id-7", SOURCE, 1.5, 2.0)),
        (row(kind=ACCOUNT_CHANGED), Change("alice", MAIL, ACCOUNT_CHANGED, "id-7", SOURCE, 1.5, 2.0)),
    ],
)
def test_what_a_row_tells(told: Row, change: Change) -> None:
    assert change_of(told, 2.0) == change


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (row(account="a/b"), "account must not contain '/'"),
        (row(account=""), "account must not be empty"),
        (row(kind="Unheard"), "changed is required: the data types that Unheard changes are not known"),
        (row(kind="no name"), "type must be 'mail.' and an RFC 5423 event name, such as mail.MessageNew"),
        (row(changed="[1]"), "changed must be an object of data types and states"),
        (row(changed='{"Email": ' + "1" * 5_000 + "}"), "changed must be an object of data types and states"),
        (
            row(changed='{"Email": ' + "[" * 5_000 + "]" * 5_000 + "}"),
            "changed must be an object of data types and states",
        ),
        (row(account="/", changed='{"Email": 1}'), "account must not contain '/'; data.changed.Email must be a string"),
    ],
)
def test_why_a_row_tells_nothing(told: Row, why: str) -> None:
    assert change_of(told, 2.0) == why
