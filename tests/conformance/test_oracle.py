"""Our decoder against `websockets`' protocol, on streams that are right, almost right, and anything, split anyhow.

Both have to hear the same messages, send the same pongs and end with the same close code. Where the two differ on
purpose, `Oracle` is taught our rule:

- `websockets` leaves UTF-8 to the layer above; we fail at the first byte that cannot be text.
- It accepts lengths that are not minimal, and a 64-bit length with its highest bit set; RFC 6455 section 5.2 does not.
- It counts control frames against the limit on messages; we do not, since they are no part of one.
- It fails a close between two fragments; section 5.4 allows control frames there, so we answer it.

And one is told apart in `same`: it finds most faults of a head when the payload is there, and looks at the size before
them; we find them with the head.
"""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame
from websockets.protocol import Protocol, Side
from websockets.streams import StreamReader

from tests.conformance.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.support.frames import masked
from tests.support.utf8 import can_become_text
from tidings.errors import ConnectionFailed
from tidings.gateway.codecs import websocket
from tidings.gateway.codecs.frames import Decoder
from tidings.gateway.codecs.websocket import Message, Opcode

MAX_MESSAGE: Final = 300


class Outcome(NamedTuple):
    """Messages, pings and pongs heard; the code of the peer's close; the code of a failure."""

    heard: list[Message]
    closed: int | None = None
    failed: int | None = None


class Rules(StreamReader):
    """The bytes of the protocol, with the rules on lengths that it does not have."""

    def __init__(self, protocol: Protocol, max_message: int | None) -> None:
        super().__init__()
        self.frame_start = 0
        self._consumed = 0
        self._reads: list[bytes] = []
        self._protocol = protocol
        self._max_message = max_message

    def at_eof(self) -> Generator[None, None, bool]:
        """Between two frames, or while what follows a failure is discarded."""
        if not self._protocol.eof_sent:
            self.frame_start, self._reads = self._consumed, []
        return (yield from super().at_eof())

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """The head's two bytes, the longer length where there is one, the mask, the payload."""
        data = yield from super().read_exact(n)
        self._consumed += n
        self._reads.append(bytes(data))
        coded = self._reads[0][1] & 0x7F
        if coded < 126 and len(self._reads) == 1:
            self._check_size(coded)
        elif coded >= 126 and len(self._reads) == 2:
            size = int.from_bytes(data, "big")
            if size < (126 if coded == 126 else 65536) or size >= 1 << 63:
                raise ProtocolError("length")
            self._check_size(size)
        return data

    def _check_size(self, size: int) -> None:
        is_data = self._reads[0][0] & 0x0F < CLOSE
        if is_data and self._max_message is not None and (self._protocol.current_size or 0) + size > self._max_message:
            raise PayloadTooBig(size, self._max_message)


class Oracle:
    """What `websockets` makes of a stream, under our rules."""

    def __init__(self, max_message: int | None = MAX_MESSAGE) -> None:
        self.sent = b""
        self.outcome = Outcome([])
        self._protocol = Protocol(Side.SERVER, max_size=None)
        self.reader = Rules(self._protocol, max_message)
        self._protocol.reader = self.reader
        self._protocol.parser = self._protocol.parse()
        next(self._protocol.parser)
        self._payload = b""
        self._opcode = Opcode.TEXT
        self._utf8 = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> None:
        protocol, outcome = self._protocol, self.outcome
        protocol.receive_data(data)
        self.sent += b"".join(protocol.data_to_send())
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode != CLOSE and self.outcome.failed is None:
                self._hear(event)
        if self.outcome.failed is None and self.outcome.closed is None:
            if protocol.close_rcvd is not None:
                self.outcome = outcome._replace(closed=int(protocol.close_rcvd.code))
            elif protocol.parser_exc is not None:
                assert protocol.close_sent is not None
                self.outcome = outcome._replace(failed=int(protocol.close_sent.code))

    def _hear(self, event: Frame) -> None:
        data = bytes(event.data)
        if event.opcode >= CLOSE:
            self.outcome.heard.append(Message(Opcode(event.opcode), data))
            return
        if event.opcode != CONTINUATION:
            self._opcode, self._payload = Opcode(event.opcode), b""
            self._utf8.reset()
        self._payload += data
        if self._opcode == Opcode.TEXT:
            try:
                self._utf8.decode(data, event.fin)
            except UnicodeDecodeError:
                self.outcome = self.outcome._replace(failed=1007)
                return
            if not can_become_text(self._utf8.getstate()[0]):
                self.outcome = self.outcome._replace(failed=1007)
                return
        if event.fin:
            self.outcome.heard.append(Message(self._opcode, self._payload))


def ours(pieces: Sequence[bytes]) -> Outcome:
    """What the gateway makes of a stream."""
    heard: list[Message] = []
    decoder = Decoder(MAX_MESSAGE)
    try:
        for piece in pieces:
            for message in filter(None, decoder.feed(piece)):
                if message.opcode == Opcode.CLOSE:
                    return Outcome(heard, closed=websocket.close_reply(message.payload)[0])
                heard.append(message)
    except ConnectionFailed as error:
        return Outcome(heard, failed=error.code)
    return Outcome(heard)


def same(stream: bytes, cuts: Sequence[int]) -> Outcome:
    """Our outcome, after the oracle's turned out to be the same."""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    outcome, oracle = ours(pieces), Oracle()
    for piece in pieces:
        oracle.feed(piece)
    if outcome.failed == 1002 != oracle.outcome.failed:
        # A fault of a head, while the oracle waits for the payload or objects to its size. With one that is short
        # enough, and too long for a control frame, it has to find the fault too.
        start = oracle.reader.frame_start
        head = bytes((stream[start], stream[start + 1] & 0x80 | 126, 0, 126))
        assert oracle.outcome.failed in (None, 1009)
        oracle = Oracle(max_message=None)
        oracle.feed(stream[:start] + head + bytes(4 + 126))
    elif outcome.failed == 1007 and oracle.outcome.failed is None:
        # A fault within a frame: the oracle has to find it too, whatever the rest of the frame is.
        oracle.feed(bytes(MAX_MESSAGE))
    assert outcome == oracle.outcome
    if outcome.closed is None and outcome.failed is None:
        pings = [message for message in outcome.heard if message.opcode == Opcode.PING]
        assert oracle.sent == b"".join(websocket.frame(Opcode.PONG, ping.payload) for ping in pings)
    return outcome


MASKS = st.binary(min_size=4, max_size=4)
CUTS = st.lists(st.integers(0, 1500), max_size=20)
CONTROLS = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[bytes, Outcome]:
    """A stream that keeps to the protocol, and what it says."""
    heard: list[Message] = []
    stream = b""

    def control() -> Iterator[bytes]:
        for opcode, payload in draw(st.lists(CONTROLS, max_size=2)):
            heard.append(Message(Opcode(opcode), payload))
            yield masked(opcode, payload, mask=draw(MASKS))

    for _ in range(draw(st.integers(0, 4))):
        is_text = draw(st.booleans())
        payload = draw(st.text(max_size=60)).encode() if is_text else draw(st.binary(max_size=MAX_MESSAGE))
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        opcode = Opcode.TEXT if is_text else Opcode.BINARY
        for number, (start, end) in enumerate(pairwise([0, *cuts, len(payload)])):
            stream += b"".join(control())
            part = payload[start:end]
            stream += masked(CONTINUATION if number else opcode, part, fin=number == len(cuts), mask=draw(MASKS))
        heard.append(Message(opcode, payload))
    stream += b"".join(control())
    if draw(st.booleans()):
        code = draw(st.sampled_from([1000, 1001, 1003, 1007, 1014, 3000, 4999]))
        stream += masked(CLOSE, code.to_bytes(2, "big") + draw(st.text(max_size=20)).encode(), mask=draw(MASKS))
        return stream + draw(st.binary(max_size=30)), Outcome(heard, closed=code)
    return stream, Outcome(heard)


@given(exchanges(), CUTS)
def test_streams_that_keep_to_the_protocol(exchange: tuple[bytes, Outcome], cuts: list[int]) -> None:
    stream, outcome = exchange
    assert same(stream, cuts) == outcome


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A stream that kept to the protocol until bytes of it were changed, lost, doubled or made up."""
    stream = bytearray(draw(exchanges())[0])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(stream)))
        size = draw(st.integers(0, 3))
        stream[at : at + size] = draw(st.binary(max_size=3) | st.just(bytes(stream[at : at + 20])))
    return bytes(stream)


@settings(max_examples=1000)
@given(mutations(), CUTS)
def test_streams_that_almost_do(stream: bytes, cuts: list[int]) -> None:
    same(stream, cuts)


CODES = st.sampled_from([0, 999, *range(1000, 1017), 2999, 3000, 4999, 5000, 65535])
REASONS = st.sampled_from([b"", b"bye", "é".encode(), b"\xff", b"\xed\xa0", b"x" * 123, b"x" * 124])
CLOSES = st.builds(lambda code, reason: code.to_bytes(2, "big") + reason, CODES, REASONS)
PIECES = st.sampled_from([b"", b"ab", b"\xed\xa0", b"\xf4\x90", b"\xe2\x82", b"\xac", b"\xc3", b"x" * 126, b"x" * 299])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame of any kind: any bits, any opcode, payloads that are likely to matter, lengths that lie."""
    usual = draw(st.integers(0, 3)) > 0
    opcode = draw(st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG]) if usual else st.integers(0, 15))
    payload = draw(CLOSES if opcode == CLOSE else PIECES | st.binary(max_size=130))
    rsv = 0 if usual else draw(st.integers(0, 7))
    data = masked(
        opcode, payload, fin=draw(st.booleans()), rsv=rsv, mask=draw(MASKS if usual else MASKS | st.just(b""))
    )
    if draw(st.integers(0, 5)) == 0:
        size = draw(st.sampled_from([0, 125, 126, 300, 301, 65535, 65536, 1 << 63]) | st.integers(0, 2**64 - 1))
        coded, width = draw(st.sampled_from([(126, 2), (127, 8)]))
        data = bytes((data[0], 0x80 | coded)) + (size % (1 << 8 * width)).to_bytes(width, "big") + data[2:]
    return data


@settings(max_examples=1000)
@given(st.lists(frames(), max_size=6).map(b"".join), CUTS)
def test_frames_of_any_kind(stream: bytes, cuts: list[int]) -> None:
    same(stream, cuts)


@st.composite
def long_messages(draw: st.DrawFn) -> bytes:
    """A message of about MAX_MESSAGE bytes in fragments, with pings between them."""
    sizes = draw(st.lists(st.sampled_from([0, 1, 74, 75, 100, 149, 150, 299, 300]), min_size=1, max_size=5))
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    stream = b""
    for number, size in enumerate(sizes):
        stream += masked(CONTINUATION if number else opcode, b"x" * size, fin=number == len(sizes) - 1)
        stream += masked(PING, b"p" * draw(st.sampled_from([0, 1, 125])))
    return stream


@given(long_messages(), CUTS)
def test_messages_about_as_long_as_the_limit(stream: bytes, cuts: list[int]) -> None:
    same(stream, cuts)


@given(st.binary(max_size=400), CUTS)
def test_any_bytes(stream: bytes, cuts: list[int]) -> None:
    same(stream, cuts)
