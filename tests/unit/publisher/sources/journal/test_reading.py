from __future__ import annotations

import json

import pytest

from tidings.publisher.sources.journal.format import MAX_LINE_BYTES, lines
from tidings.publisher.sources.journal.reading import told_by


def event(event_id: str, **members: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/dovecot",
        "type": "mail.MessageNew",
        "subject": "alice",
        **members,
    }


def test_lines_tell_changes_in_order() -> None:
    told = told_by(lines([event("1"), event("2", subject="bob")]).splitlines(keepends=True), 17.0)
    assert [(change.id, change.account, change.ingested) for change in told.changes] == [
        ("1", "alice", 17.0),
        ("2", "bob", 17.0),
    ]
    assert (told.refused, told.unreadable) == ([], 0)


@pytest.mark.parametrize(
    "torn",
    [
        json.dumps(event("2"))[:-10].encode(),
        bytes(512),
        b"\xff\xfe",
        b"x" * (MAX_LINE_BYTES + 1),
        b'"text"x',
    ],
)
def test_a_torn_line_hides_none_of_the_others(torn: bytes) -> None:
    told = told_by([*lines([event("1")]).splitlines(), torn, *lines([event("3")]).splitlines()], 0.0)
    assert [change.id for change in told.changes] == ["1", "3"]
    assert told.unreadable == 1


@pytest.mark.parametrize("line", [b"7", b"[]", json.dumps(event("2", subject="a/b", type="mail.Unheard")).encode()])
def test_an_event_that_means_no_change_is_refused_with_what_is_wrong(line: bytes) -> None:
    told = told_by([line, json.dumps(event("3")).encode()], 0.0)
    assert [change.id for change in told.changes] == ["3"]
    assert told.unreadable == 0
    (reason,) = told.refused
    assert "must" in reason
