from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.publisher.sources.maildir.diff import (
    INBOX,
    Difference,
    Finding,
    Listing,
    Scope,
    account_of,
    arrived,
    changes,
    compare,
    directory_of,
    either,
    is_message_name,
    listing,
    place_of,
    scope_of,
)
from tidings.wire.change import DATA_TYPES


def events(before: Mapping[bytes, str] | None, after: Listing | None) -> set[str]:
    return set(compare(before, after).events)


@pytest.mark.parametrize(
    ("name", "account"),
    [
        (b"alice", "alice"),
        (b"alice@example.test", "alice@example.test"),
        ("zoë".encode(), "zoë"),
        (b".hidden", None),
        (b"zo\xeb", None),
        (b"line\nbreak", None),
        (b"x" * 255, "x" * 255),
    ],
)
def test_accounts_are_directories_whose_name_may_be_one(name: bytes, account: str | None) -> None:
    assert account_of(name) == account


@pytest.mark.parametrize(
    ("directory", "name", "is_directory", "scope"),
    [
        ((), b"alice", True, Scope("alice", None)),
        ((), b"alice", False, Scope("alice", None)),  # a symbolic link
        ((), b".trash", True, None),
        ((b"alice",), b"cur", True, Scope("alice", INBOX)),
        ((b"alice",), b"new", True, Scope("alice", INBOX)),
        ((b"alice",), b"tmp", True, None),
        ((b"alice",), b".Work", True, Scope("alice", b".Work")),
        ((b"alice",), b".lock", False, None),
        ((b"alice",), b"dovecot-uidlist", False, None),
        ((b"alice", b"new"), b"1.a", False, Scope("alice", INBOX)),
        ((b"alice", b"cur"), b"1.a:2,", False, Scope("alice", INBOX)),
        ((b"alice", b".Work"), b"cur", True, Scope("alice", b".Work")),
        ((b"alice", b".Work"), b"maildirfolder", False, None),
        ((b"alice", b".Work"), b".x", True, None),
        ((b"alice",), b"Archive", True, Scope("alice", b"Archive")),
        ((b"alice",), b"Archive", False, None),  # a symbolic link
        ((b"alice", b"Archive"), b"2024", True, Scope("alice", b"Archive/2024")),
        ((b"alice", b"Archive", b"2024"), b"cur", True, Scope("alice", b"Archive/2024")),
        ((b"alice", b"Archive", b"2024"), b"tmp", True, None),
        ((b"alice", b"Archive", b"2024", b"new"), b"1.a", False, Scope("alice", b"Archive/2024")),
        ((b"alice", *[b"x"] * 10), b"x", True, None),
        ((b"alice", b".Work", b"cur"), b"1.a:2,S", False, Scope("alice", b".Work")),
        ((b"zo\xeb", b"cur"), b"1.a", False, None),
    ],
)
def test_an_entry_that_came_or_went_says_where_to_look(
    directory: tuple[bytes, ...], name: bytes, is_directory: bool, scope: Scope | None
) -> None:
    assert scope_of(directory, name, is_directory) == scope


@pytest.mark.parametrize(
    ("directory", "scope"),
    [
        ((), None),
        ((b"alice",), Scope("alice", None)),
        ((b"alice", b"cur"), Scope("alice", INBOX)),
        ((b"alice", b".Work"), Scope("alice", b".Work")),
        ((b"alice", b"Archive", b"2024", b"new"), Scope("alice", b"Archive/2024")),
    ],
)
def test_a_directory_that_is_gone_says_where_to_look(directory: tuple[bytes, ...], scope: Scope | None) -> None:
    assert place_of(directory) == scope


@pytest.mark.parametrize("folder", [INBOX, b".Work", b"Archive/2024"])
def test_a_folder_and_its_directory_name_each_other(folder: bytes) -> None:
    assert scope_of(directory_of("alice", folder), b"cur", True) == Scope("alice", folder)


def test_a_listing_makes_sense_of_names() -> None:
    found = listing(
        [b"1.a", b"2.b", b".nfs0001", b"7.g,S=5"],
        [b"2.b:2,SF", b"3.c", b"4.d,S=12:2,", b"5.e:1,x", b".lock", b"6.f:2,aS\xff", b"8.h;2,S"],
    )
    assert found == Listing(
        {b"1.a": "", b"2.b": "FS", b"3.c": "", b"4.d": "", b"5.e": "", b"6.f": "Sa", b"7.g": "", b"8.h": "S"},
        frozenset([b"1.a", b"7.g"]),
    )


@pytest.mark.parametrize(
    ("directory", "name", "may"),
    [
        ((b"alice", b"new"), b"1.a", True),
        ((b"alice", b".Work", b"new"), b"1.a:2,", True),
        ((b"alice", b"cur"), b"1.a:2,", True),
        ((b"alice", b"new"), b".lock", False),
        ((b"alice", b".Work"), b"maildirfolder", False),
        ((b"new",), b"tmp", False),
    ],
)
def test_messages_are_in_new_and_cur(directory: tuple[bytes, ...], name: bytes, may: bool) -> None:
    assert is_message_name(directory, name) is may


def test_an_arrival_is_told_unless_it_is_known() -> None:
    assert arrived({b"1", b"2,S=3:2,S"}, {b"1"}) == Difference(frozenset(["MessageNew"]), stored={b"2": "S"})
    assert arrived({b"1", b"2,S=3"}, {b"1", b"2"}) == Difference()
    assert arrived({b"1"}, set(), {b"1"}.__contains__).events == {"MessageAppend"}
    assert arrived({b"1", b"2"}, set(), {b"1"}.__contains__).events == {"MessageAppend", "MessageNew"}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (listing([], [b"1:2,"]), {"MessageAppend"}),
        (listing([b"1,U=1"], []), {"MessageAppend"}),
        (listing([b"1"], [b"2:2,"]), {"MessageAppend", "MessageNew"}),
        (listing([b"2", b"1"], []), {"MessageAppend", "MessageNew"}),
        (listing([], [b"1:2,S", b"3:2,S"]), {"MessageAppend"}),
    ],
)
def test_what_was_in_another_folder_is_no_delivery(after: Listing, expected: set[str]) -> None:
    assert compare({}, after, {b"1"}.__contains__).events <= expected
    assert ("MessageNew" in compare({}, after, {b"1"}.__contains__).events) == ("MessageNew" in expected)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, listing([], []), set()),
        ({}, listing([b"1"], []), {"MessageNew"}),
        ({}, listing([], [b"1:2,"]), {"MessageNew"}),  # a client was faster than we
        ({}, listing([], [b"1:2,S"]), {"MessageAppend"}),
        ({}, listing([], [b"1:2,D"]), {"MessageAppend"}),
        ({b"1": ""}, listing([], [b"1:2,"]), set()),
        ({b"1": ""}, listing([], [b"1:2,S"]), {"MessageRead"}),
        ({b"1": ""}, listing([], [b"1:2,T"]), {"MessageTrash"}),
        ({b"1": ""}, listing([], [b"1:2,F"]), {"FlagsSet"}),
        ({b"1": ""}, listing([], [b"1:2,a"]), {"FlagsSet"}),
        ({b"1": "S"}, listing([], [b"1:2,"]), {"FlagsClear"}),
        ({b"1": "FS"}, listing([], [b"1:2,RS"]), {"FlagsSet", "FlagsClear"}),
        ({b"1": "S"}, listing([], []), {"MessageExpunge"}),
        ({b"1": ""}, listing([b"2"], []), {"MessageExpunge", "MessageNew"}),
        (None, None, set()),
        ({}, None, {"MailboxDelete"}),
        ({b"1": ""}, None, {"MailboxDelete", "MessageExpunge"}),
        (None, listing([], []), {"MailboxCreate"}),
        (None, listing([b"1"], []), {"MailboxCreate", "MessageNew"}),
        (None, listing([], [b"1:2,"]), {"MailboxCreate", "MessageAppend"}),
    ],
)
def test_what_happened(before: Mapping[bytes, str] | None, after: Listing | None, expected: set[str]) -> None:
    assert events(before, after) == expected


def test_a_message_is_gone_only_when_neither_look_saw_it() -> None:
    first = listing([b"1", b"2"], [b"3:2,"])
    second = listing([], [b"1:2,S", b"4:2,"])
    seen = either(first, second)
    assert seen.messages == {b"1": "S", b"2": "", b"3": "", b"4": ""}
    assert seen.recent == {b"2"}


def apply(before: Mapping[bytes, str] | None, difference: Difference) -> dict[bytes, str] | None:
    if not difference.exists:
        return None
    kept = {name: flags for name, flags in (before or {}).items() if name not in difference.removed}
    return {**kept, **difference.stored}


folders = st.none() | st.dictionaries(
    st.sampled_from([b"1", b"2", b"3", b"4"]),
    st.sets(st.sampled_from("DFPRSTa")).map(lambda flags: "".join(sorted(flags))),
)


@given(folders, folders, st.sets(st.sampled_from([b"1", b"2", b"3"])))
def test_a_difference_leads_from_one_look_to_the_other(
    before: dict[bytes, str] | None, after: dict[bytes, str] | None, recent: set[bytes]
) -> None:
    seen = None if after is None else Listing(after, frozenset(recent & after.keys()))
    difference = compare(before, seen)
    assert apply(before, difference) == after
    assert bool(difference.events) == (before != after)
    assert difference.events <= DATA_TYPES.keys()
    assert compare(after, seen).events == set()


def test_changes_tell_each_event_of_an_account_once() -> None:
    numbers = iter(range(10))
    found = changes(
        [
            Finding("bob", INBOX, None, Difference(frozenset(["MessageNew"]))),
            Finding("alice", INBOX, 20.0, Difference(frozenset(["MessageNew", "FlagsSet"]))),
            Finding("alice", b".Work", 10.0, Difference(frozenset(["MessageNew", "MailboxCreate"]))),
            Finding("alice", b".Old", None, Difference(frozenset(["MessageNew"]))),
            Finding("carol", INBOX, 10.0, Difference()),
        ],
        30.0,
        lambda: str(next(numbers)),
    )
    assert [(change.account, change.event, change.time) for change in found] == [
        ("alice", "FlagsSet", 20.0),
        ("alice", "MailboxCreate", 10.0),
        ("alice", "MessageNew", 10.0),
        ("bob", "MessageNew", None),
    ]
    assert all(tuple(change.changed) == DATA_TYPES[change.event] and change.ingested == 30.0 for change in found)
    assert len({change.id for change in found}) == 4
