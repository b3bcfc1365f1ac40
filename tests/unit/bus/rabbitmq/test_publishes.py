from __future__ import annotations

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from tidings.bus.rabbitmq.publishes import Confirm, PublishFrames, read_confirm

CHANNEL = 2047
EXCHANGE = "tidings.v1.16"


def read(data: bytes) -> list[object]:
    """What the client library makes of frames; all are of the channel."""
    found: list[object] = []
    while data:
        size, channel, each = frame.unmarshal(data)
        assert channel == CHANNEL
        found.append(each)
        data = data[size:]
    return found


@given(
    payload=st.binary(max_size=700),
    longest=st.integers(64, 512),
    shard=st.integers(0, 1023),
    tag=st.integers(1, 2**63),
)
def test_the_library_reads_what_is_published(payload: bytes, longest: int, shard: int, tag: int) -> None:
    publishes = PublishFrames(CHANNEL, EXCHANGE, longest)
    for number in (tag, tag + 1):
        data = publishes.encode(str(shard), number, payload)
        method, header, *bodies = read(data)
        assert isinstance(method, spec.Basic.Publish)
        assert (method.exchange, method.routing_key, method.mandatory) == (EXCHANGE, str(shard), True)
        assert isinstance(header, ContentHeader)
        assert header.body_size == len(payload)
        assert (header.properties.delivery_mode, header.properties.message_id) == (2, str(number))
        assert b"".join(body.value for body in bodies if isinstance(body, ContentBody)) == payload
        assert all(len(body.value) + 8 <= longest for body in bodies if isinstance(body, ContentBody))


def test_without_a_bound_of_the_brokers_frames_are_as_long_as_usual() -> None:
    bodies = read(PublishFrames(CHANNEL, EXCHANGE, 0).encode("1", 1, bytes(256 * 1024)))[2:]
    assert [len(body.value) for body in bodies if isinstance(body, ContentBody)] == [131_064, 131_064, 16]


@given(tag=st.integers(0, 2**63 - 1), multiple=st.booleans(), refused=st.booleans())
def test_confirms_are_read_as_the_library_writes_them(tag: int, multiple: bool, refused: bool) -> None:
    method = spec.Basic.Nack(tag, multiple, False) if refused else spec.Basic.Ack(tag, multiple)
    data = frame.marshal(method, CHANNEL)
    assert read_confirm(data, 7, len(data) - 1) == Confirm(tag, refused, multiple)


@pytest.mark.parametrize(
    "method",
    [
        spec.Confirm.SelectOk(),
        spec.Channel.OpenOk(),
        spec.Channel.Close(404, "NOT_FOUND", 60, 40),
        spec.Basic.Return(312, "NO_ROUTE", EXCHANGE, "1"),
        # As long as a confirm, and of its class or with its number.
        spec.Basic.Reject(1, True),
        spec.Basic.Return(312, "123", "", "1"),
        spec.Channel.Close(1, "12", 60, 80),
    ],
)
def test_other_methods_are_no_confirms(method: object) -> None:
    data = frame.marshal(method, CHANNEL)  # type: ignore[arg-type]
    assert read_confirm(data, 7, len(data) - 1) is None
