from __future__ import annotations

import pytest

from tidings.publisher.sources.imap.folders import Folder, events, is_between, is_exact, updated

INBOX = Folder(7, 10, 5, 2, 30, True)
LISTS = Folder(8, 20, 9, 3, 40, True)
BEFORE = {b"INBOX": INBOX, b"Lists": LISTS}


def happened(after: dict[bytes, Folder], *, live: bool = True) -> set[str]:
    return set(events(BEFORE, {**BEFORE, **after}, live=live))


def test_nothing_happened() -> None:
    assert happened({}) == set()


@pytest.mark.parametrize("unseen", [1, 2, 3])
def test_what_comes_into_the_inbox_is_a_delivery(unseen: int) -> None:
    after = INBOX._replace(uidnext=11, messages=6, unseen=unseen, modseq=31)
    assert happened({b"INBOX": after}) == {"MessageNew"}


def test_what_comes_elsewhere_unread_is_a_delivery() -> None:
    assert happened({b"Lists": LISTS._replace(uidnext=21, messages=10, unseen=4)}) == {"MessageNew"}


def test_what_comes_elsewhere_read_was_stored() -> None:
    assert happened({b"Lists": LISTS._replace(uidnext=21, messages=10)}) == {"MessageAppend"}


def test_what_is_moved_unread_is_no_delivery() -> None:
    moved = {
        b"INBOX": INBOX._replace(messages=4, unseen=1, modseq=31),
        b"Lists": LISTS._replace(uidnext=21, messages=10, unseen=4, modseq=41),
    }
    assert happened(moved) == {"MessageAppend", "MessageExpunge"}
    assert happened(moved, live=False) == {"MessageNew", "MessageExpunge"}


def test_what_was_read_meanwhile_was_not_moved() -> None:
    after = {
        b"INBOX": INBOX._replace(unseen=1, modseq=31),
        b"Lists": LISTS._replace(uidnext=21, messages=10, unseen=4),
    }
    assert happened(after) == {"MessageNew", "MessageRead"}


def test_what_went() -> None:
    assert happened({b"INBOX": INBOX._replace(messages=4)}) == {"MessageExpunge"}


def test_one_came_and_one_went() -> None:
    after = INBOX._replace(uidnext=11)
    assert happened({b"INBOX": after}) == {"MessageNew", "MessageExpunge"}


def test_a_server_without_uidnext_has_counts() -> None:
    assert events({b"INBOX": Folder(messages=1)}, {b"INBOX": Folder(messages=2)}, live=True) == {"MessageNew"}


@pytest.mark.parametrize(
    ("numbers", "event"),
    [
        ({"unseen": 1, "modseq": 31}, "MessageRead"),
        ({"unseen": 3, "modseq": 31}, "FlagsClear"),
        ({"modseq": 31}, "FlagsSet"),
    ],
)
def test_flags(numbers: dict[str, int], event: str) -> None:
    assert happened({b"INBOX": updated(INBOX, numbers)}) == {event}


def test_a_mailbox_that_was_made_anew_has_other_messages() -> None:
    assert happened({b"INBOX": Folder(9, 1, 0, 0, 1, True)}) == {"MessageExpunge", "MessageAppend"}


def test_mailboxes_come() -> None:
    assert happened({b"New": Folder(9, 1, 0, 0, 1)}) == {"MailboxCreate"}
    assert happened({b"New": Folder(9, 2, 1, 0, 1)}) == {"MailboxCreate", "MessageAppend"}


def test_mailboxes_go() -> None:
    empty = {**BEFORE, b"Empty": Folder(9, 1)}
    assert events(empty, BEFORE, live=True) == {"MailboxDelete"}
    assert events(BEFORE, {b"INBOX": INBOX}, live=True) == {"MailboxDelete", "MessageExpunge"}


def test_mailboxes_get_other_names() -> None:
    assert events(BEFORE, {b"INBOX": INBOX, b"Old": LISTS}, live=True) == {"MailboxRename"}
    other = LISTS._replace(subscribed=False)
    assert events(BEFORE, {b"INBOX": INBOX, b"Old": other}, live=True) == {"MailboxRename", "MailboxUnSubscribe"}


def test_mail_may_come_and_go_before_a_mailbox_gets_another_name() -> None:
    more = LISTS._replace(uidnext=21, messages=10)
    assert events(BEFORE, {b"INBOX": INBOX, b"Old": more}, live=True) == {"MailboxRename", "MessageAppend"}
    fewer = LISTS._replace(messages=8)
    assert events(BEFORE, {b"INBOX": INBOX, b"Old": fewer}, live=True) == {"MailboxRename", "MessageExpunge"}
    # UIDs are never given back: this one was made in the same second.
    other = LISTS._replace(uidnext=19)
    assert "MailboxRename" not in events(BEFORE, {b"INBOX": INBOX, b"Old": other}, live=True)


def test_of_mailboxes_made_in_the_same_second_each_keeps_the_uids_that_fit() -> None:
    before = {b"a": Folder(8, 3, 2), b"b": Folder(8, 5, 4), b"gone": Folder(8, 9, 8)}
    after = {b"y": Folder(8, 5, 4), b"x": Folder(8, 4, 3)}
    assert events(before, after, live=True) == {"MailboxRename", "MessageAppend", "MailboxDelete", "MessageExpunge"}


def test_a_look_may_come_while_a_mailbox_gets_another_name() -> None:
    with_new = {**BEFORE, b"New": LISTS}
    assert is_between(BEFORE, {b"INBOX": INBOX})
    assert is_between(BEFORE, with_new)
    assert not is_between(BEFORE, {b"INBOX": INBOX, b"New": LISTS})
    assert not is_between(BEFORE, {**BEFORE, b"INBOX": INBOX._replace(messages=4)})
    assert not is_between(BEFORE, {**BEFORE, b"New": Folder(9, 1), b"Noselect": Folder()})


def test_what_has_no_uidvalidity_is_not_told_apart_by_it() -> None:
    assert events({b"a": Folder()}, {b"b": Folder()}, live=True) == {"MailboxCreate", "MailboxDelete"}


def test_subscriptions() -> None:
    assert happened({b"Lists": LISTS._replace(subscribed=False)}) == {"MailboxUnSubscribe"}
    assert events({b"a": Folder()}, {b"a": Folder(subscribed=True)}, live=True) == {"MailboxSubscribe"}


def test_a_comparison_is_exact_where_mailboxes_have_modseqs() -> None:
    assert is_exact({**BEFORE, b"Noselect": Folder()})
    assert not is_exact({**BEFORE, b"Other": Folder(9, 1)})
