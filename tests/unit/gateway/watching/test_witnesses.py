from __future__ import annotations

from prometheus_client import CollectorRegistry

from asyncio_pprof.traces import Family, Sampler
from tests.support.connections import connection_of
from tidings.gateway.model.changes import Told
from tidings.gateway.model.pending import Pending
from tidings.gateway.model.witness import Witness
from tidings.gateway.watching.connection_traces import ConnectionTraces
from tidings.gateway.watching.journal import Journal
from tidings.gateway.watching.metrics import GatewayMetrics
from tidings.gateway.watching.witnesses import Witnesses


class Watched:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.journal = Journal(lambda: 3.0)
        self.family = Family("connections", "")
        traces = ConnectionTraces(self.family, Sampler(1, 1e9), lambda: 3.0, 120.0)
        self.witness: Witness = Witnesses(GatewayMetrics(self.registry), self.journal, traces)

    def stages(self) -> list[str]:
        return [stage for trace in self.family.failed() for _, stage in trace.events]


def test_a_push_is_in_the_metrics_and_in_the_journal() -> None:
    watched, alice = Watched(), connection_of("alice")
    watched.witness.written([alice] * 2, 10.0, Pending({"alice": {"Email": "1"}}, 9.5, None))
    watched.witness.written_each([alice], 10.5, [Told("alice", {"Email": "2"}, None)], 10.0)
    assert watched.registry.get_sample_value("tidings_consume_to_write_seconds_count") == 3
    assert watched.registry.get_sample_value("tidings_consume_to_write_seconds_sum") == 1.5
    assert [note.at for note in watched.journal.pushes.of("alice")] == [10.0, 10.0, 10.5]


def test_a_life_is_in_the_journal_from_when_it_was_parked_and_in_the_traces_from_its_accept() -> None:
    watched, alice, nobody = Watched(), connection_of("alice"), connection_of()
    for connection in (alice, nobody):
        watched.witness.accepted(connection, 1.0)
        watched.witness.reached(connection, "head")
    watched.witness.resumed(alice, "fresh")
    watched.witness.merged(alice, "alice", 4)
    watched.witness.closed(alice, "pong_deadline", "websocket")
    watched.witness.closed(nobody, "head_deadline")
    assert [note.what for note in watched.journal.events.of("alice")] == ["fresh", "closed: pong_deadline (websocket)"]
    assert [note.what for note in watched.journal.merges.of("alice")] == [4]
    assert {note.what for note in watched.journal.events.of("")} == {""}, "nobody has no account"
    assert sorted(watched.stages()) == ["closed: head_deadline", "closed: pong_deadline", "head", "head"]
