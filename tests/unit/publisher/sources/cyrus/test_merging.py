from __future__ import annotations

import json
from itertools import count
from typing import Any

from tidings.publisher.sources.cyrus.event import Event
from tidings.publisher.sources.cyrus.merging import Known, merged
from tidings.wire import cloudevents
from tidings.wire.change import Change

NOW = 1_795_977_550.25


def changes(*events: Event, known: Known | None = None) -> list[Change]:
    """What a publisher makes of the CloudEvents."""
    ids = (str(number) for number in count())
    made: list[dict[str, Any]] = merged(events, Known() if known is None else known, lambda: next(ids), NOW)
    return cloudevents.parse([("content-type", cloudevents.BATCHED)], json.dumps(made).encode(), NOW)


def mail(state: str | None) -> dict[str, str | None]:
    return dict.fromkeys(("Email", "Mailbox", "Thread"), state)


def test_the_events_of_a_delivery_are_one_change() -> None:
    (change,) = changes(Event("alice", "MailboxModseq", 4), Event("alice", "MessageNew", 5))
    assert change == Change("alice", {**mail("5"), "EmailDelivery": "5"}, "MessageNew", "0", "/cyrus", NOW, NOW)


def test_the_name_is_that_of_what_was_done() -> None:
    (change,) = changes(Event("alice", "MessageRead", 7), Event("alice", "MailboxModseq", 11))
    assert (change.event, change.changed) == ("MessageRead", mail("11"))
    (alone,) = changes(Event("alice", "MailboxModseq", 11))
    assert (alone.event, alone.changed) == ("MailboxModseq", mail("11"))


def test_accounts_are_apart_and_in_order() -> None:
    told = changes(Event("bob", "FlagsSet", 2), Event("alice", "FlagsSet", 9), Event("bob", "FlagsSet", 3))
    assert [(change.account, change.changed, change.id) for change in told] == [
        ("bob", mail("3"), "0"),
        ("alice", mail("9"), "1"),
    ]


def test_a_state_that_was_told_is_never_followed_by_a_lower_one() -> None:
    known = Known()
    assert changes(Event("alice", "FlagsSet", 9), known=known)[0].changed == mail("9")
    assert changes(Event("alice", "FlagsSet", 7), known=known)[0].changed == mail("9")
    assert changes(Event("bob", "FlagsSet", 7), known=known)[0].changed == mail("7")


def test_what_only_follows_a_change_that_was_told_is_nothing() -> None:
    known = Known()
    assert changes(Event("alice", "MessageNew", 9), Event("alice", "MailboxModseq", 9), known=known)
    assert changes(Event("alice", "MailboxModseq", 9), known=known) == []
    assert changes(Event("bob", "MailboxModseq", 9), known=known)
    assert changes(Event("alice", "MailboxModseq", None), known=known)
    assert changes(Event("alice", "MailboxModseq", 10), known=known)
    assert changes(Event("alice", "FlagsSet", 10), known=known)


def test_an_account_that_begins_again_has_lower_states() -> None:
    known = Known()
    changes(Event("alice", "MailboxDelete", 9), Event("alice", "MailboxModseq", 11), known=known)
    (begun,) = changes(Event("alice", "MailboxCreate", 1, begins_account=True), known=known)
    assert begun.changed == mail("1")
    assert changes(Event("alice", "MessageNew", 2), known=known)[0].changed["Email"] == "2"


def test_so_many_accounts_are_remembered() -> None:
    known = Known(most=2)
    for account in ("a", "b", "a", "c"):
        known.raised(account, 9)
    assert len(known) == 2
    assert known.raised("a", 1) == 9
    assert known.raised("b", 1) == 1


def test_without_states_the_gateway_makes_them() -> None:
    (change,) = changes(Event("alice", "FlagsSet", None))
    assert change.changed == mail(None)


def test_nothing_is_made_of_nothing() -> None:
    assert merged([], Known(), lambda: "1", NOW) == []
