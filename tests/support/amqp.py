"""What RabbitMQ sends to whoever reads a stream, and what the client library makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from struct import pack

from aiormq import spec
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.frame import FrameTypes, marshal, unmarshal
from pamqp.header import ContentHeader

from tidings.bus.log import Entry

_ANY_OFFSET = 2**62
"""The library encodes numbers as short as they can be, RabbitMQ an offset always in eight octets."""


def method(channel: int, *methods: Frame) -> bytes:
    return b"".join(marshal(each, channel) for each in methods)


def content(size: int, offset: int | None, properties: spec.Basic.Properties | None = None) -> bytes:
    """The payload of a content header."""
    properties = properties or spec.Basic.Properties()
    headers: FieldTable = dict(properties.headers or {})
    if offset is not None:
        headers["x-stream-offset"] = _ANY_OFFSET
    if headers:
        properties.headers = headers
    payload = ContentHeader(body_size=size, properties=properties).marshal()
    return payload if offset is None else payload.replace(pack(">q", _ANY_OFFSET), pack(">q", offset))


def deliver(channel: int, tag: int, consumer: str = "amq.ctag-x") -> bytes:
    """The method that begins a delivery."""
    return method(channel, spec.Basic.Deliver(consumer, tag, exchange="tidings.v1.4", routing_key="0"))


def split(stream: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """The bytes in pieces, cut at these places."""
    for at, stop in pairwise([0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]):
        yield stream[at:stop]


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def delivery(
    channel: int,
    tag: int,
    entry: Entry,
    properties: spec.Basic.Properties | None = None,
    *,
    consumer: str = "amq.ctag-x",
    piece: int = 131_064,
) -> bytes:
    """An entry as it comes, its body in frames of at most `piece` octets."""
    offset, payload = entry
    pieces = [payload[at : at + piece] for at in range(0, len(payload), piece)]
    return (
        deliver(channel, tag, consumer)
        + frame(2, channel, content(len(payload), offset, properties))
        + b"".join(marshal(ContentBody(each), channel) for each in pieces)
    )


def by_library(data: bytes) -> Iterable[tuple[int, FrameTypes]]:
    """Channel and frame, of everything in whole frames."""
    while data:
        size, channel, frame = unmarshal(data)
        yield channel, frame
        data = data[size:]


def entries_by_library(data: bytes, channel: int) -> list[tuple[int, Entry]]:
    """Delivery tag and entry of what was delivered on a channel."""
    found: list[tuple[int, Entry]] = []
    tag = offset = size = 0
    body = b""
    for number, each in by_library(data):
        if number != channel:
            continue
        if isinstance(each, spec.Basic.Deliver):
            tag, body = each.delivery_tag or 0, b""
        elif isinstance(each, ContentHeader):
            size = each.body_size
            value = (each.properties.headers or {})["x-stream-offset"]
            assert isinstance(value, int)
            offset = value
        elif isinstance(each, ContentBody):
            body += each.value
        if not isinstance(each, spec.Basic.Deliver) and len(body) == size:
            found.append((tag, Entry(offset, body)))
    return found
