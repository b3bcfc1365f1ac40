"""Each step of a feed by itself, and what all of them together promise to whoever listens to the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.feeds.continuity import (
    MAX_PATIENCE,
    STATES,
    TRANSITIONS,
    Act,
    Continuity,
    Decision,
    Event,
    Owner,
    Standing,
)
from tidings.wire.cursor import Position, check_of

STANDINGS = ("FRESH", "REPEATED", "RESUMED", "DOUBTED", "FOLLOWING", "LIVE", "UNPROVEN")
BUILT, GONE, GIVEN_UP = "FOLLOWING KEEP", "FRESH DECLARE_GAP", "DOUBTED ATTACH"
EXPECTED = {
    "NEXT": (BUILT, BUILT, GONE, GONE, BUILT, "LIVE KEEP", "LIVE KEEP"),
    "MARKER": ("LIVE GO_LIVE", "LIVE GO_LIVE", GONE, GONE, "LIVE GO_LIVE", "LIVE KEEP", "LIVE KEEP"),
    "OPAQUE": (*["FOLLOWING SPOIL"] * 2, GONE, GONE, "FOLLOWING SPOIL", *["LIVE SPOIL"] * 2),
    "LAST": ("FRESH", "REPEATED", "FOLLOWING", "FOLLOWING", "FOLLOWING", "LIVE", "LIVE"),
    "EARLIER": ("FRESH", "REPEATED", "RESUMED", "DOUBTED", "FOLLOWING", "LIVE", "LIVE"),
    "STRANGE": ("FRESH", "REPEATED", GONE, GONE, "FOLLOWING", "LIVE", "LIVE"),
    "UNHEARD": (
        *("REPEATED REPEAT", "REPEATED ATTACH", GIVEN_UP, GIVEN_UP),
        *("FOLLOWING ATTACH", "LIVE ATTACH", "UNPROVEN ATTACH"),
    ),
    "OUTRUN": (
        *("REPEATED REPEAT", "REPEATED REPEAT", "RESUMED REPEAT", "DOUBTED REPEAT"),
        *("FOLLOWING REPEAT", "LIVE ATTACH", "UNPROVEN ATTACH"),
    ),
    "REFUSED": ("FRESH", "REPEATED", "RESUMED", "DOUBTED", "FOLLOWING", "UNPROVEN WARN", "UNPROVEN"),
    "LOST": ("FRESH", "FRESH", "RESUMED", "DOUBTED", "RESUMED", "RESUMED", "RESUMED"),
    "FAULT": (GONE,) * 7,
    "STOPPED": ("FRESH", "REPEATED", "RESUMED", "DOUBTED", "FOLLOWING", "FOLLOWING", "FOLLOWING"),
}
"""What each event leads to, by standing; with the act, where there is one."""


@pytest.mark.parametrize("owner", Owner, ids=lambda owner: owner.name)
@pytest.mark.parametrize("standing", Standing, ids=lambda standing: standing.name)
@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_what_each_event_leads_to(event: Event, standing: Standing, owner: Owner) -> None:
    then, _, act = EXPECTED[event.name][STANDINGS.index(standing.name)].partition(" ")
    state, decision = STATES[standing, owner].steps[event]
    assert (state.standing.name, decision.act.name) == (then, act or "NOTHING")


def test_no_event_is_in_the_table_twice_for_a_standing() -> None:
    given = [(standing, event) for standings, event, *_ in TRANSITIONS for standing in standings]
    assert len(given) == len(set(given))


class Tells(NamedTuple):
    act: Act
    batch: bool = False
    gap: bool = False
    live: bool = False
    then: Owner | None = None


@pytest.mark.parametrize(
    ("owner", "tells"),
    [
        (Owner.UNTOLD, Tells(Act.KEEP)),
        (Owner.UNTOLD, Tells(Act.SPOIL)),
        (Owner.UNTOLD, Tells(Act.GO_LIVE, live=True, then=Owner.TOLD)),
        (Owner.OWED, Tells(Act.KEEP)),
        (Owner.OWED, Tells(Act.SPOIL)),
        (Owner.OWED, Tells(Act.GO_LIVE, gap=True, live=True, then=Owner.TOLD)),
        (Owner.TOLD, Tells(Act.KEEP, batch=True)),
        (Owner.TOLD, Tells(Act.SPOIL, batch=True, gap=True)),
        (Owner.TOLD, Tells(Act.GO_LIVE, batch=True, live=True)),
        *((owner, Tells(Act.DECLARE_GAP, then=Owner.OWED)) for owner in Owner),
        *((owner, Tells(act)) for owner in Owner for act in (Act.NOTHING, Act.ATTACH, Act.REPEAT, Act.WARN)),
    ],
    ids=lambda value: value.name if isinstance(value, Owner) else value.act.name,
)
def test_what_an_owner_is_told(owner: Owner, tells: Tells) -> None:
    keeps = tells.act in (Act.KEEP, Act.SPOIL, Act.GO_LIVE)
    found = {
        (after.owner, decision)
        for (_, knows), state in STATES.items()
        for after, decision in state.steps.values()
        if knows is owner and decision.act is tells.act
    }
    assert found == {(tells.then or owner, Decision(tells.act, keeps, tells.batch, tells.gap, tells.live))}


OWN = b"the marker"
LAST = Position(7, b"last")


def resumed() -> Continuity:
    """One that was live, and is attached again after LAST."""
    continuity = Continuity()
    continuity.attach(b"first")
    continuity.take(LAST, b"first")
    continuity.happened(Event.LOST)
    continuity.attach(OWN)
    return continuity


@pytest.mark.parametrize(
    ("position", "batch_id", "standing", "last"),
    [
        (LAST, b"first", Standing.FOLLOWING, LAST),
        (LAST, b"", Standing.FOLLOWING, LAST),
        (Position(6, b"some"), b"some", Standing.RESUMED, LAST),
        (Position(6, b"some"), b"", Standing.RESUMED, LAST),
        (Position(6, b"mark"), OWN, Standing.FRESH, None),
        (Position(7, b"some"), b"some", Standing.FRESH, None),
        (Position(7, b"some"), b"", Standing.FRESH, None),
        (Position(8, b"some"), b"some", Standing.FRESH, None),
        (Position(8, b"mark"), OWN, Standing.FRESH, None),
    ],
)
def test_what_comes_first_says_whether_the_log_goes_on(
    position: Position, batch_id: bytes, standing: Standing, last: Position | None
) -> None:
    continuity = resumed()
    continuity.take(position, batch_id)
    assert continuity.state.standing is standing
    assert continuity.last == last
    assert not continuity.live


def test_patience_grows_with_each_attempt_and_wears_off_with_each_marker() -> None:
    continuity = Continuity()
    grown = []
    for _ in range(6):
        continuity.attach(OWN)
        grown.append(continuity.patience)
    assert grown == [1, 2, 4, 8, 8, 8]
    assert grown[-1] == MAX_PATIENCE
    for patience in (4, 2, 1, 1):
        continuity.proven()
        assert continuity.patience == patience


class Stored(NamedTuple):
    """An entry; `at` counts everything that was ever appended, in whichever log."""

    at: int
    position: Position
    batch_id: bytes
    is_marker: bool = False


class World:
    """A log to which everything happens, a feed of it, and its owner, to whom changes are owed that it listens for."""

    def __init__(self) -> None:
        self.continuity = Continuity()
        self.entries: list[Stored] = []
        self.next_offset = 1000
        self.appended = self.known_at = 0
        self.marker = b""
        self.coming: list[Stored] | None = None
        """What the reader has yet to deliver; None where the log it read is gone."""
        self.begin = 0
        """The first offset that the reader delivers, which may be beyond the end of the log."""
        self.listens = False
        self.owed: set[int] = set()
        self.told: list[int] = []
        self.attach()

    def append(self, batch_id: bytes, *, is_marker: bool = False) -> None:
        self.appended += 1
        check = check_of(batch_id or b"nonsense %d" % self.appended)
        stored = Stored(self.appended, Position(self.next_offset, check), batch_id, is_marker)
        self.next_offset += 1
        self.entries.append(stored)
        if self.coming is not None and stored.position.offset >= self.begin:
            self.coming.append(stored)
        if self.listens and not is_marker:
            self.owed.add(stored.at)

    def change(self) -> None:
        self.append(b"change %d" % self.appended)

    def nonsense(self) -> None:
        self.append(b"")

    def mark(self) -> None:
        self.append(self.marker + b" %d" % self.appended, is_marker=True)

    def recreate(self) -> None:
        self.entries, self.next_offset, self.coming = [], 0, None

    def trim(self) -> None:
        self.entries, self.coming = self.entries[-1:], None

    def attach(self) -> None:
        """Give up the reader; the next one begins where it has to."""
        continuity = self.continuity
        continuity.happened(Event.LOST)
        self.marker = b"marker %04d" % self.appended
        continuity.attach(self.marker)
        last = continuity.last
        self.begin = 0
        assert (last is None) == (continuity.state.standing is Standing.FRESH)
        if last is None:
            self.coming = self.entries[-4:]
        elif continuity.state.standing is Standing.RESUMED:
            self.begin = last.offset
            self.coming = [stored for stored in self.entries if stored.position.offset >= self.begin]
        else:
            assert continuity.state.standing is Standing.DOUBTED
            self.coming = [stored for stored in self.entries if stored.at >= self.known_at - 2]
        self.mark()

    def again(self) -> None:
        """The log delivers once more what it has delivered."""
        if self.coming is not None and self.continuity.live:
            self.coming[:0] = [stored for stored in self.entries if stored.at <= self.known_at][-3:]

    def deliver(self) -> None:
        if self.coming is None:
            self.attach()
        if not self.coming:
            return
        stored = self.coming.pop(0)
        decision = self.continuity.take(stored.position, stored.batch_id)
        if decision.act is Act.DECLARE_GAP:
            self.attach()
            return
        if decision.keeps:
            self.known_at = stored.at
            assert self.continuity.last == stored.position
        beyond = {later.at for later in self.coming if not later.is_marker}
        if decision.batch:
            assert self.listens, "news before it was live"
            if stored.batch_id and not stored.is_marker:
                self.told.append(stored.at)
                self.owed.discard(stored.at)
        if decision.gap:
            self.owed &= beyond
        if decision.live:
            assert stored.batch_id.startswith(self.marker)
            if not self.listens:
                self.listens, self.owed = True, beyond

    def late(self) -> None:
        """Its marker does not come in time, for whatever reason."""
        event = Event.OUTRUN if self.appended % 3 == 0 else Event.UNHEARD
        act = self.continuity.happened(event).act
        if act is Act.REPEAT and self.coming is not None:
            self.mark()
        else:
            assert act in (Act.ATTACH, Act.REPEAT)
            self.attach()

    def fault(self) -> None:
        assert self.continuity.happened(Event.FAULT).act is Act.DECLARE_GAP
        self.attach()

    def refuse(self) -> None:
        warned = self.continuity.happened(Event.REFUSED).act is Act.WARN
        assert self.continuity.live or not warned
        assert self.continuity.happened(Event.REFUSED).act is Act.NOTHING, "said twice"


TROUBLES: dict[str, Callable[[World], None]] = {
    "none": lambda _: None,
    "quiet": World.mark,
    "nonsense": World.nonsense,
    "lost": World.attach,
    "late": World.late,
    "recreated": World.recreate,
    "trimmed": World.trim,
    "again": World.again,
    "fault": World.fault,
    "refused": World.refuse,
}


def settle(world: World) -> None:
    """Once the trouble is over, a few attempts are enough: that the log is another one may show only from an earlier
    time, and then a feed that knows nothing goes live."""
    for _ in range(6):
        if world.coming is None:
            world.attach()
        world.mark()
        while world.coming:
            world.deliver()
        if world.continuity.live:
            break
        world.late()
    assert world.continuity.live
    assert world.owed == set(), "neither told nor resynchronised"


def test_a_marker_in_the_place_that_the_last_one_had_in_another_log_hides_no_gap() -> None:
    world = World()
    world.recreate()
    world.change()
    settle(world)
    known = world.continuity.last
    world.recreate()
    while world.next_offset < (known or LAST).offset:
        world.change()
    world.mark()
    settle(world)


@given(st.lists(st.tuples(st.sampled_from(sorted(TROUBLES)), st.integers(0, 3), st.integers(0, 4)), max_size=12))
def test_each_change_is_told_once_and_in_order_or_there_is_a_gap(steps: list[tuple[str, int, int]]) -> None:
    """Each step: a trouble, so many changes, and so many entries that are delivered."""
    world = World()
    for trouble, changes, delivered in steps:
        TROUBLES[trouble](world)
        for _ in range(changes):
            world.change()
        for _ in range(delivered):
            world.deliver()
    settle(world)
    assert world.told == sorted(set(world.told))
