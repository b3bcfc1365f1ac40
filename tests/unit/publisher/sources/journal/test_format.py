from __future__ import annotations

import json

import pytest

from tidings.publisher.sources.journal import format as journal
from tidings.publisher.sources.journal.format import MAX_LINE_BYTES, Names, claimed_name, lines, pending_name


def test_names_of_the_journal_are_told_apart() -> None:
    names = [
        "2026112919.jsonl",
        "2026112918-5000.jsonl",
        "2026112918.jsonl",
        "00000012.2026112917.jsonl.claimed",
        "00000002.2026112918-vmail.jsonl.claimed",
        "00000013.lost.claimed",
        "lost",
        "breaker-5000",
        "README",
        "2026112918.jsonl.swp",
        "../2026112918.jsonl",
        "2026112918-.jsonl",
        "12.2026112918.jsonl.claimed",
    ]
    assert journal.sort(names) == Names(
        claimed=(
            "00000002.2026112918-vmail.jsonl.claimed",
            "00000012.2026112917.jsonl.claimed",
            "00000013.lost.claimed",
        ),
        pending=("2026112918-5000.jsonl", "2026112918.jsonl", "2026112919.jsonl"),
        lost=True,
        foreign=(
            "../2026112918.jsonl",
            "12.2026112918.jsonl.claimed",
            "2026112918-.jsonl",
            "2026112918.jsonl.swp",
            "README",
        ),
    )


def test_claims_are_counted_up() -> None:
    assert journal.sort([]).next_number == 1
    first = claimed_name(1, pending_name("2026112918", "5000"))
    assert first == "00000001.2026112918-5000.jsonl.claimed"
    assert journal.sort([first, claimed_name(41, "lost")]).next_number == 42


def test_a_claimed_file_says_whether_changes_were_lost() -> None:
    assert journal.says_lost(claimed_name(7, "lost"))
    assert not journal.says_lost(claimed_name(7, pending_name("2026112918", "lost")))


def test_lines_begin_on_a_line_of_their_own() -> None:
    events = [{"id": "1", "subject": "zoë\n"}, {"id": "2"}]
    data = lines(events)
    assert data.startswith(b"\n")
    assert data.endswith(b"\n")
    assert [json.loads(line) for line in data.splitlines() if line] == events


def test_an_event_of_no_line_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 65536 bytes"):
        lines([{"id": "1"}, {"id": "x" * MAX_LINE_BYTES}])
