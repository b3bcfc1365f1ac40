from __future__ import annotations

import pytest

from tidings.publisher.sources.maildir.agenda import Look
from tidings.publisher.sources.maildir.diff import INBOX, Directory, Scope
from tidings.publisher.sources.maildir.hints import Happened, look_at

NEW, CUR = (b"alice", b"new"), (b"alice", b"cur")
ALICE = Scope("alice", INBOX)
CAME, WENT, WRITTEN = Happened.CAME, Happened.WENT, Happened.WRITTEN


@pytest.mark.parametrize(
    ("directory", "name", "is_directory", "happened", "look"),
    [
        # A delivery can be looked at alone.
        (NEW, b"1,S=3", False, CAME, Look(ALICE, 5.0, frozenset([b"1,S=3"]))),
        (
            (b"alice", b"Archive", b"2024", b"new"),
            b"1",
            False,
            CAME,
            Look(Scope("alice", b"Archive/2024"), 5.0, frozenset([b"1"])),
        ),
        (NEW, b"1", False, WENT, Look(ALICE, 5.0)),
        (CUR, b"1:2,S", False, CAME, Look(ALICE, 5.0)),
        (NEW, b".lock", False, CAME, Look(ALICE, 5.0)),
        (NEW, b"1", True, CAME, Look(ALICE, 5.0)),
        # What is complete.
        (
            NEW,
            b"1,S=3",
            False,
            WRITTEN,
            Look(ALICE, 5.0, frozenset([b"1,S=3"]), frozenset([(b"1", "MessageNew")])),
        ),
        (CUR, b"1:2,S", False, WRITTEN, Look(ALICE, 5.0, frozenset(), frozenset([(b"1", "MessageAppend")]))),
        # Directories.
        ((), b"alice", True, CAME, Look(Scope("alice", None), 5.0)),
        ((b"alice",), b".Work", True, WENT, Look(Scope("alice", b".Work"), 5.0)),
        ((b"alice",), b"cur", True, CAME, Look(ALICE, 5.0)),
        ((b"alice",), b"tmp", True, CAME, None),
        ((b"alice",), b"subscriptions", False, CAME, None),
    ],
)
def test_what_happened_says_where_to_look(
    directory: Directory, name: bytes, is_directory: bool, happened: Happened, look: Look | None
) -> None:
    assert look_at(directory, name, is_directory, happened, 5.0) == look
