from __future__ import annotations

import pytest

from tidings.check.ledger import RESYNC, TYPES, Arrival, Change, Client, Key, Ledger

ACCOUNT = "alice"


class Run:
    """A ledger with one account and one client, and a clock."""

    def __init__(self, types: tuple[str, ...] = TYPES) -> None:
        self.ledger = Ledger("run")
        self.now = 0.0
        self.client: Client = self.ledger.client([ACCOUNT], types, self.now)

    def send(self, *types: str, acknowledged: bool = True) -> Change:
        change, _ = self.ledger.send(ACCOUNT, types or TYPES, self.now)
        if acknowledged:
            change.acknowledged = self.now
        return change

    def told(self, number: int | str, *types: str, arrival: Arrival = Arrival.LIVE) -> None:
        state = f"run.{number}" if isinstance(number, int) else number
        self.ledger.told(self.client, {ACCOUNT: dict.fromkeys(types or TYPES, state)}, arrival, self.now)

    def known(self, name: str = "Email") -> int:
        return self.client.knowledge[Key(ACCOUNT, name)].known


def test_changes_are_numbered_by_account_and_say_so_in_every_state() -> None:
    ledger = Ledger("run")
    change, states = ledger.send("alice", ("Email", "Mailbox"), 1.0)
    assert (change.number, change.sent, states) == (1, 1.0, {"Email": "run.1", "Mailbox": "run.1"})
    assert ledger.send("alice", ("Email",), 2.0)[1] == {"Email": "run.2"}
    assert ledger.send("bob", ("Email",), 3.0)[1] == {"Email": "run.1"}


@pytest.mark.parametrize(
    ("state", "number"), [("run.7", 7), ("other.7", None), ("run.x", None), ("7", None), ("", None)]
)
def test_states_of_others_have_no_number(state: str, number: int | None) -> None:
    assert Ledger("run").number(state) == number


def test_what_is_told_is_known_up_to_there() -> None:
    run = Run()
    run.send(), run.send(), run.send("Mailbox")
    run.told(2)
    assert (run.known("Email"), run.known("Mailbox")) == (2, 2)
    assert run.ledger.unlearnt() == 1
    run.told(3, "Mailbox")
    assert run.ledger.unlearnt() == 0


def test_what_is_told_again_changes_nothing_but_what_was_told_last() -> None:
    run = Run()
    run.send(), run.send()
    run.told(2)
    run.told(1)
    knowledge = run.client.knowledge[Key(ACCOUNT, "Email")]
    assert (knowledge.known, knowledge.last) == (2, 1)
    assert run.ledger.counts.coalesced == 3  # Of each of three types, one.


def test_what_nobody_asked_for_and_what_is_not_ours_is_passed_over() -> None:
    run = Run(types=("Email",))
    run.send()
    run.told(1, "Mailbox")
    run.told("somebody's", "Email")
    run.ledger.told(run.client, {"bob": {"Email": "run.1"}}, Arrival.LIVE, run.now)
    assert run.known() == 0
    assert run.ledger.counts.pushed == 0


def test_frames_are_counted_by_when_they_came() -> None:
    run = Run()
    run.send()
    run.told(1, arrival=Arrival.RETURN)
    run.told(1)
    run.told(1)
    run.told(f"{RESYNC}x", arrival=Arrival.RETURN)
    counts = run.ledger.counts
    assert (counts.replayed, counts.pushed, dict(counts.resyncs)) == (1, 2, {Arrival.LIVE: 0, Arrival.RETURN: 1})


def test_a_resynchronisation_and_a_beginning_make_everything_known_that_was_sent() -> None:
    for arrival, state in ((Arrival.LIVE, f"{RESYNC}x"), (Arrival.FIRST, "whatever")):
        run = Run()
        run.told(state, arrival=arrival)
        assert run.known() == 0
        run.send(acknowledged=False)
        run.now = 5.0
        run.told(state, arrival=arrival)
        assert run.known() == 1
        assert run.client.knowledge[Key(ACCOUNT, "Email")].fetched == 5.0


def test_the_time_to_learn_is_from_the_acknowledgement_or_the_return() -> None:
    run = Run()
    run.send()
    run.now = 3.0
    run.send()
    run.now = 4.0
    run.told(2)
    assert run.ledger.counts.worst_seconds == 4.0
    run.send()
    run.now = 20.0
    run.client.since = 19.0
    run.told(3)
    assert run.ledger.counts.worst_seconds == 4.0
    run.send()
    run.now = 25.0
    run.told(f"{RESYNC}x")
    assert run.ledger.counts.worst_seconds == 5.0


def test_what_is_told_before_it_is_acknowledged_took_no_time() -> None:
    run = Run()
    run.send(acknowledged=False)
    run.now = 3.0
    run.told(1)
    assert run.ledger.counts.worst_seconds == 0.0
    assert run.ledger.unlearnt() == 0


def test_what_was_never_acknowledged_need_not_be_learnt() -> None:
    run = Run()
    run.send(acknowledged=False)
    assert run.ledger.unlearnt() == 0
