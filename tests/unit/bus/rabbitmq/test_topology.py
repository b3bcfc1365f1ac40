from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tidings.bus.log import FromOffset, FromTime, Start
from tidings.bus.rabbitmq.topology import Topology, first_offset, offset_argument
from tidings.bus.retention import SEGMENT_BYTES, USUAL, Retention


def test_names_are_a_contract_between_versions() -> None:
    topology = Topology(64)
    assert topology.exchange == "tidings.v1.64"
    assert topology.stream(7) == "tidings.v1.64.7"
    assert topology.routing_key(7) == "7"


def test_arguments_are_a_contract_between_versions() -> None:
    """RabbitMQ refuses to redeclare a stream with others: whoever changes one raises the version."""
    assert Topology(64).stream_arguments() == {
        "x-queue-type": "stream",
        "x-max-age": "1h",
        "x-max-length-bytes": 64 * 1024 * 1024,
        "x-stream-max-segment-size-bytes": 16 * 1024 * 1024,
    }


def test_history_outlives_a_dropped_segment() -> None:
    assert USUAL.bytes - SEGMENT_BYTES >= 3 * SEGMENT_BYTES


@pytest.mark.parametrize(("seconds", "age"), [(3600, "1h"), (86_400, "24h"), (5_400, "5400s"), (600, "600s")])
def test_how_much_is_kept_is_for_others_to_say(seconds: int, age: str) -> None:
    arguments = Topology(64, Retention(seconds, 2**30)).stream_arguments()
    assert (arguments["x-max-age"], arguments["x-max-length-bytes"]) == (age, 2**30)


@pytest.mark.parametrize(
    ("start", "argument", "first"),
    [
        (FromOffset(0), 0, 0),
        (FromOffset(2**62), 2**62, 2**62),
        (FromTime(1_700_000_000.9), datetime(2023, 11, 14, 22, 13, 20, 900_000, tzinfo=UTC), 0),
    ],
)
def test_where_a_consumer_starts(start: Start, argument: object, first: int) -> None:
    assert offset_argument(start) == argument
    assert first_offset(start) == first
