from __future__ import annotations

import json

import pytest

from tidings.errors import EventError
from tidings.wire.change import EVERY_ACCOUNT, anything_changed
from tidings.wire.resyncs import MAX_ACCOUNTS, SOURCE, parse

HEADERS = [("Content-Type", "application/json")]


def refused(request: object) -> EventError:
    with pytest.raises(EventError) as error:
        parse(HEADERS, json.dumps(request).encode(), 1.5)
    return error.value


def test_accounts_are_told_to_look() -> None:
    changes = parse(HEADERS, b'{"accounts": ["alice", "bob"]}', 1.5)
    assert changes == [
        anything_changed(account, source=SOURCE, event_id=f"1.500000-{index}", ingested=1.5)
        for index, account in enumerate(("alice", "bob"))
    ]


def test_everybody_is_told_to_look() -> None:
    (change,) = parse(HEADERS, b'{"everybody": true, "source": "/backup"}', 1.5)
    assert (change.account, change.source) == (EVERY_ACCOUNT, "/backup")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ([], "the request: Input should be a valid dictionary"),
        ({}, "give either accounts or"),
        ({"accounts": []}, "give either accounts or"),
        ({"accounts": ["a"], "everybody": True}, "give either accounts or"),
        ({"accounts": "alice"}, "accounts: Input should be a valid list"),
        ({"accounts": [1]}, "accounts.0: Input should be a valid string"),
        ({"everybody": 1}, "everybody: Input should be a valid boolean"),
        ({"everybody": True, "é": 1}, "\\xe9: Extra inputs"),
        ({"everybody": True, "source": ""}, "source: must not be empty"),
        ({"everybody": True, "source": "a" * 1025}, "source: String should have at most 1024"),
    ],
)
def test_what_is_wrong_is_said(request_: object, said: str) -> None:
    error = refused(request_)
    assert error.status == 422
    assert said in error.detail


def test_problems_name_the_accounts() -> None:
    error = refused({"accounts": ["a", "a/b", ""]})
    assert (error.status, [(p.event, p.field, p.detail) for p in error.problems]) == (
        422,
        [(1, "accounts", "must not contain '/'"), (2, "accounts", "must not be empty")],
    )


def test_too_many_accounts() -> None:
    assert refused({"accounts": ["a"] * (MAX_ACCOUNTS + 1)}).status == 413


def test_another_content_type_is_refused() -> None:
    with pytest.raises(EventError) as error:
        parse([("Content-Type", "text/plain")], b'{"everybody": true}', 1.5)
    assert error.value.status == 415
