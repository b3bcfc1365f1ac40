"""Windows against what keeping everything as it was decoded would answer, whatever came, went and was asked."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidings.gateway.feeds import part, window
from tidings.gateway.feeds.part import BATCH_BYTES, EMPTY_BYTES
from tidings.gateway.feeds.window import Place
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.model.changes import Told, told_of
from tidings.ops.budget import UNBOUNDED, Budget
from tidings.wire.batch import Batch
from tidings.wire.change import Change, anything_changed
from tidings.wire.cursor import Position, check_of

SECONDS = 30.0
ACCOUNTS = ("alice", "bob@a.example", "carol@b.example")
STATES = st.none() | st.text("xyz😀", max_size=40)
CHANGES = st.lists(
    st.one_of(
        st.builds(
            Change,
            st.sampled_from(ACCOUNTS),
            st.dictionaries(st.sampled_from(["Email", "Mailbox", "Other"]), STATES, min_size=1),
            st.just("FlagsSet"),
            st.just("1"),
            st.just("test"),
        ),
        st.builds(
            anything_changed,
            st.sampled_from(ACCOUNTS),
            source=st.just("t"),
            event_id=st.just("1"),
            ingested=st.just(0.0),
        ),
    ),
    max_size=6,
)
SHARD = st.integers(0, 1)
PLACE = st.integers(0, 50)


class Everything:
    """All batches of a shard, decoded."""

    def __init__(self) -> None:
        self.kept: list[tuple[Position, float, list[Told]]] = []

    def missed(self, account: str, since: Position) -> dict[str, str]:
        states: dict[str, str] = {}
        for position, _, told in self.kept:
            if position.offset > since.offset:
                for name, changed, _ in told:
                    if name == account:
                        states |= changed
        return states


class Model(RuleBasedStateMachine):
    """Two shards, whose windows share a bound."""

    def __init__(self) -> None:
        super().__init__()
        self.patched = ExitStack()
        self.now = 0.0
        self.whole = True
        """Nothing has been dropped yet but for its age."""

    @initialize(
        most=st.sampled_from([UNBOUNDED, 12_000, 4_000, 1]),
        few=st.sampled_from([0, 8]),
        of_a_part=st.sampled_from([0, 4, 100]),
    )
    def start(self, most: int, few: int, of_a_part: int) -> None:
        self.most = most
        self.patched.enter_context(patch.object(part, "FEW", few))
        self.patched.enter_context(patch.object(window, "PART_CHANGES", of_a_part))
        self.windows = Windows(Budget().account("windows", most=most))
        self.open = [self.windows.open(SECONDS) for _ in range(2)]
        self.everything = [Everything(), Everything()]
        self.made = 0

    def teardown(self) -> None:
        with self.patched:
            for shard, everything in enumerate(self.everything):
                for place in range(len(everything.kept)):
                    for account in ACCOUNTS:
                        self.ask(shard, place, account)
        for one in self.open:
            self.windows.close(one)
        assert self.windows.bytes == 0

    @rule(shard=SHARD, changes=CHANGES, skipped=st.sampled_from([0, 0, 0, 3, 2**16 - 1, 2**32]))
    def append(self, shard: int, changes: list[Change], skipped: int) -> None:
        kept = self.everything[shard].kept
        self.made += 1
        batch = Batch(1, self.made.to_bytes(16, "big"), 0.0, tuple(changes))
        offset = kept[-1][0].offset + 1 + skipped if kept else skipped
        position = Position(offset, check_of(batch.id))
        kept.append((position, self.now, told_of(batch, position, 0.0, str)))
        cut = self.windows.cut
        self.open[shard].append(position, self.now, batch.changes)
        self.whole &= self.most == UNBOUNDED and self.windows.cut == cut

    @rule(seconds=st.sampled_from([0.5, 1.0, SECONDS / 2, 2 * SECONDS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(size=st.sampled_from([1, 3_000, UNBOUNDED]))
    def need_room(self, size: int) -> None:
        before = self.windows.bytes
        freed = self.windows.make_room(size)
        assert freed == before - self.windows.bytes
        self.whole = False

    @rule(shard=SHARD)
    def forget(self, shard: int) -> None:
        self.open[shard].clear()
        self.everything[shard].kept.clear()

    @rule(shard=SHARD, place=PLACE, account=st.sampled_from((*ACCOUNTS, "nobody")))
    def ask(self, shard: int, place: int, account: str) -> None:
        everything = self.everything[shard]
        for since, _, _ in everything.kept[-1 - place :][:1]:
            if self.open[shard].find(since) is Place.INSIDE:
                assert self.open[shard].missed(account, since) == everything.missed(account, since)

    @invariant()
    def the_newest_batches_are_there_and_no_others(self) -> None:
        for one, everything in zip(self.open, self.everything, strict=True):
            places = [one.find(position) for position, _, _ in everything.kept]
            assert places == sorted(places, key=lambda place: place is Place.INSIDE)
            assert set(places) <= {Place.BEFORE, Place.INSIDE}
            assert len(one) == places.count(Place.INSIDE)
            assert not places or places[-1] is Place.INSIDE
            assert one.position == (everything.kept[-1][0] if everything.kept else None)
            for place, (position, at, _) in zip(places, everything.kept, strict=True):
                if place is Place.INSIDE:
                    assert one.find(Position(position.offset, b"else")) is Place.NOWHERE
                else:
                    assert not self.whole or at < self.now - SECONDS

    @invariant()
    def no_more_is_kept_than_there_is_room_for(self) -> None:
        least = len(self.open) * (EMPTY_BYTES + BATCH_BYTES)
        assert self.windows.bytes <= max(self.most, least) + least


TestModel = Model.TestCase
