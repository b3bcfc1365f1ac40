from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp.common import FieldTable, FieldValue

from tests.support.amqp import content
from tidings.bus.rabbitmq.content import read_content
from tidings.errors import ReadLost

SIZES = st.integers(0, 2**63)
OFFSETS = st.integers(0, 2**63 - 1).filter(lambda offset: offset != 2**62)
TEXT = st.text(max_size=20)
SCALARS: st.SearchStrategy[FieldValue] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**61), 2**61),
    TEXT,
    st.binary(max_size=20).map(bytearray),
    st.floats(width=32, allow_nan=False),
    st.decimals(places=2, min_value=-1000, max_value=1000, allow_nan=False).map(lambda value: Decimal(value)),
    st.just(datetime(2026, 1, 1, tzinfo=UTC)),
)
NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name != "x-stream-offset")
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
HEADERS: st.SearchStrategy[FieldTable] = st.dictionaries(NAMES, VALUES, max_size=5)


@st.composite
def properties(draw: st.DrawFn) -> spec.Basic.Properties:
    """What somebody else's message may have."""
    maybe = st.none() | TEXT
    return spec.Basic.Properties(
        content_type=draw(maybe),
        content_encoding=draw(maybe),
        headers=draw(st.none() | HEADERS),
        delivery_mode=draw(st.none() | st.just(2)),
        priority=draw(st.none() | st.integers(0, 9)),
        correlation_id=draw(maybe),
        message_id=draw(maybe),
        timestamp=draw(st.none() | st.just(datetime(2026, 1, 1, tzinfo=UTC))),
        app_id=draw(maybe),
    )


@given(properties(), SIZES, OFFSETS, st.binary(max_size=4))
def test_size_and_offset_are_found_among_whatever_else_there_is(
    given_properties: spec.Basic.Properties, size: int, offset: int, before: bytes
) -> None:
    payload = content(size, offset, given_properties)
    data = before + payload + b"\xce"
    assert read_content(data, len(before), len(before) + len(payload)) == (size, offset)


@given(properties())
def test_without_an_offset_it_is_no_message_of_a_stream(given_properties: spec.Basic.Properties) -> None:
    payload = content(1, None, given_properties)
    with pytest.raises(ReadLost, match="without an offset"):
        read_content(payload + b"\xce", 0, len(payload))


@given(properties(), st.data())
def test_what_is_cut_off_has_no_offset(given_properties: spec.Basic.Properties, data: st.DataObject) -> None:
    """Whatever follows it: the next frame is no part of it."""
    payload = content(1, 5, given_properties)
    stop = data.draw(st.integers(0, payload.index(b"x-stream-offset") + 23))
    with pytest.raises(ReadLost):
        read_content(payload + payload, 0, stop)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_bytes_are_read_or_refused(payload: bytes, after: bytes) -> None:
    with suppress(ReadLost):
        read_content(payload + after, 0, len(payload))


def test_properties_beyond_the_protocol_are_refused() -> None:
    payload = bytearray(content(1, 5))
    payload[13] |= 1
    with pytest.raises(ReadLost, match="properties"):
        read_content(bytes(payload), 0, len(payload))


def test_only_what_lies_in_the_table_counts() -> None:
    """Another property may hold any bytes."""
    payload = content(1, None, spec.Basic.Properties(headers={"a": 1}, correlation_id="\x0fx-stream-offsetl12345678"))
    with pytest.raises(ReadLost, match="without an offset"):
        read_content(payload, 0, len(payload))
