"""Whether the reader of a shard misses anything: its markers, its gaps, and where it attaches again. Pure.

TRANSITIONS is the table: where a feed stands and what happens give where it stands then and what it has to do. What
its owner is told of that follows from what the owner knows already.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final, NamedTuple

from tidings.wire.cursor import Position

MAX_PATIENCE: Final = 8
"""What the times of a feed that fails to attach again and again are multiplied by at the most."""


class Standing(IntEnum):
    """Where a feed stands. It attaches as FRESH, RESUMED or DOUBTED."""

    FRESH = auto()
    """Nothing of the log is known: the window is built from the history there is."""
    REPEATED = auto()
    """FRESH, and the marker was appended once more."""
    RESUMED = auto()
    """Reading from the last known entry, which has to come before any other that is as new."""
    DOUBTED = auto()
    """RESUMED, from an earlier time. Nothing had come from the last known entry: either the log is another, shorter
    one, or the broker is slow. Only what there is can tell."""
    FOLLOWING = auto()
    """Every entry is the next one. The marker has not come yet."""
    LIVE = auto()
    """The marker has come: the log delivers."""
    UNPROVEN = auto()
    """LIVE as far as anybody can tell: nothing comes, and the log takes no marker."""


class Event(IntEnum):
    """What happens to a feed."""

    NEXT = auto()
    """An entry beyond the last known one."""
    MARKER = auto()
    """The same, and it is the feed's own marker."""
    OPAQUE = auto()
    """The same, and nobody can say what it changed: it is no batch, or says that anything may have changed."""
    LAST = auto()
    """The last known entry."""
    EARLIER = auto()
    """An entry before the last known one."""
    STRANGE = auto()
    """Another entry in the place of the last known one, or the feed's own marker before it: this is another log."""
    UNHEARD = auto()
    """A confirmed marker is not back in time, nor has anything come since."""
    OUTRUN = auto()
    """A confirmed marker is not back in time, but something else has come since."""
    REFUSED = auto()
    """The log takes no marker, and has delivered nothing for long."""
    LOST = auto()
    """The reader is gone."""
    FAULT = auto()
    """A fault of ours: nobody knows who has been told of the entry in hand."""
    STOPPED = auto()
    """The feed is not needed any more."""


class Act(IntEnum):
    """What a feed has to do."""

    NOTHING = auto()
    KEEP = auto()
    """Keep the entry in the window."""
    SPOIL = auto()
    """Forget the window and begin it with the place of this entry: what it said nobody knows."""
    GO_LIVE = auto()
    """Keep the entry; from here on, what comes is news."""
    DECLARE_GAP = auto()
    """Forget the window and attach again, as FRESH."""
    ATTACH = auto()
    """Give the reader up and attach again."""
    REPEAT = auto()
    """Append the marker once more."""
    WARN = auto()
    """Say that nothing proves the feed live."""


class Owner(IntEnum):
    """What the owner of a feed knows."""

    UNTOLD = auto()
    """Nothing yet: what comes is history."""
    OWED = auto()
    """Not that there was a gap: the owner hears of it when the feed is live."""
    TOLD = auto()
    """Everything up to the last known entry."""


class Decision(NamedTuple):
    """What a feed has to do, and what it then tells its owner, in this order: the batch, a gap, that it is live.

    `keeps` says whether the entry at hand is kept.
    """

    act: Act
    keeps: bool
    batch: bool
    gap: bool
    live: bool


_ALL: Final = tuple(Standing)
_BUILDING: Final = (Standing.FRESH, Standing.REPEATED, Standing.FOLLOWING)
_COMPARING: Final = (Standing.RESUMED, Standing.DOUBTED)
_DELIVERING: Final = (Standing.LIVE, Standing.UNPROVEN)

TRANSITIONS: Final = (
    (_BUILDING, Event.NEXT, Standing.FOLLOWING, Act.KEEP),
    (_BUILDING, Event.OPAQUE, Standing.FOLLOWING, Act.SPOIL),
    (_BUILDING, Event.MARKER, Standing.LIVE, Act.GO_LIVE),
    # The log does not continue where it was left: it was recreated or cut.
    (_COMPARING, Event.NEXT, Standing.FRESH, Act.DECLARE_GAP),
    (_COMPARING, Event.OPAQUE, Standing.FRESH, Act.DECLARE_GAP),
    (_COMPARING, Event.MARKER, Standing.FRESH, Act.DECLARE_GAP),
    (_COMPARING, Event.STRANGE, Standing.FRESH, Act.DECLARE_GAP),
    (_COMPARING, Event.LAST, Standing.FOLLOWING, Act.NOTHING),
    (_DELIVERING, Event.NEXT, Standing.LIVE, Act.KEEP),
    (_DELIVERING, Event.OPAQUE, Standing.LIVE, Act.SPOIL),
    (_DELIVERING, Event.MARKER, Standing.LIVE, Act.KEEP),
    (_DELIVERING, Event.LAST, Standing.LIVE, Act.NOTHING),
    (_DELIVERING, Event.EARLIER, Standing.LIVE, Act.NOTHING),
    (_DELIVERING, Event.STRANGE, Standing.LIVE, Act.NOTHING),
    # What is read may begin behind the marker: at a time that by the log's clock is still to come, it begins with what
    # is appended next. By now it has begun, and another marker comes.
    ((Standing.FRESH,), Event.UNHEARD, Standing.REPEATED, Act.REPEAT),
    ((Standing.FRESH,), Event.OUTRUN, Standing.REPEATED, Act.REPEAT),
    ((Standing.REPEATED, Standing.FOLLOWING, *_COMPARING), Event.OUTRUN, None, Act.REPEAT),
    ((Standing.REPEATED, Standing.FOLLOWING, *_DELIVERING), Event.UNHEARD, None, Act.ATTACH),
    (_COMPARING, Event.UNHEARD, Standing.DOUBTED, Act.ATTACH),
    (_DELIVERING, Event.OUTRUN, None, Act.ATTACH),
    ((Standing.LIVE,), Event.REFUSED, Standing.UNPROVEN, Act.WARN),
    ((Standing.REPEATED,), Event.LOST, Standing.FRESH, Act.NOTHING),
    ((Standing.FOLLOWING, *_DELIVERING), Event.LOST, Standing.RESUMED, Act.NOTHING),
    (_ALL, Event.FAULT, Standing.FRESH, Act.DECLARE_GAP),
    (_DELIVERING, Event.STOPPED, Standing.FOLLOWING, Act.NOTHING),
)
"""Where a feed stands, what happens, where it stands then (None: as before), what it has to do. Whatever is not here
changes nothing."""


class State:
    """Where a feed stands, what its owner knows, and what each event leads to."""

    __slots__ = ("owner", "standing", "steps")

    def __init__(self, standing: Standing, owner: Owner) -> None:
        self.standing = standing
        self.owner = owner
        self.steps: dict[Event, tuple[State, Decision]] = {}


def _decide(owner: Owner, act: Act) -> tuple[Owner, Decision]:
    """What an owner who knows this knows after the act, and what it is told."""
    keeps = act in (Act.KEEP, Act.SPOIL, Act.GO_LIVE)
    told = owner is Owner.TOLD
    # In a history that nobody has been told of, those who come back are judged one by one.
    gap = (told and act is Act.SPOIL) or (owner is Owner.OWED and act is Act.GO_LIVE)
    decision = Decision(act, keeps, batch=told and keeps, gap=gap, live=act is Act.GO_LIVE)
    return {Act.DECLARE_GAP: Owner.OWED, Act.GO_LIVE: Owner.TOLD}.get(act, owner), decision


def _states() -> dict[tuple[Standing, Owner], State]:
    """The table for every owner, each state with its steps: every entry of the log takes one."""
    states = {(standing, owner): State(standing, owner) for standing in Standing for owner in Owner}
    for state in states.values():
        acts = dict.fromkeys(Event, (state.standing, Act.NOTHING))
        for standings, event, then, act in TRANSITIONS:
            if state.standing in standings:
                acts[event] = (then or state.standing, act)
        for event, (standing, act) in acts.items():
            owner, decision = _decide(state.owner, act)
            state.steps[event] = (states[standing, owner], decision)
    return states


STATES: Final = _states()


class Continuity:
    """Where one feed is in the table.

    `last` is the position of the newest entry, None while nothing of the log is known; `patience` what the times of the
    feed are multiplied by, from the first attempt on.
    """

    def __init__(self) -> None:
        self.state = STATES[Standing.FRESH, Owner.UNTOLD]
        self.last: Position | None = None
        self.patience = 0
        self._mark = b""

    @property
    def live(self) -> bool:
        """Whether the log delivers, as far as anybody can tell."""
        return self.state.standing in _DELIVERING

    def attach(self, mark: bytes) -> None:
        """Begin with another reader, which markers are to prove live. From where it reads, the state says.

        The ids of its markers begin with this mark, and no two are the same: the place of one in a log that was
        recreated could else be taken for its place in the old one.

        Many gateways that attach at once can be what makes a broker slow: then trying sooner is no help, so patience
        doubles. It wears off with each marker that comes back in time, and not at once, or all would be lost again,
        and again.
        """
        self._mark = mark
        self.patience = min(self.patience * 2, MAX_PATIENCE) or 1

    def proven(self) -> None:
        """A marker came back in time."""
        self.patience = max(1, self.patience // 2)

    def take(self, position: Position, batch_id: bytes) -> Decision:
        """An entry was read; `batch_id` is empty where nobody can say what it changed."""
        last = self.last
        is_own = batch_id.startswith(self._mark)
        if last is None or position.offset > last.offset:
            event = Event.MARKER if is_own else Event.NEXT if batch_id else Event.OPAQUE
        elif position == last:
            event = Event.LAST
        elif position.offset < last.offset and not is_own:
            event = Event.EARLIER
        else:
            event = Event.STRANGE
        decision = self.happened(event)
        if decision.keeps:
            self.last = position
        return decision

    def happened(self, event: Event) -> Decision:
        """Take an event in; what is to be done about it."""
        self.state, decision = self.state.steps[event]
        if decision.act is Act.DECLARE_GAP:
            self.last = None
        return decision
