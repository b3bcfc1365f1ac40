from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.frames import masked
from tests.support.utf8 import can_become_text
from tidings.errors import ConnectionFailed
from tidings.gateway.codecs.frames import Decoder
from tidings.gateway.codecs.websocket import Message, Opcode


def failure(*data: bytes, max_message: int = 1000) -> int:
    decoder = Decoder(max_message)
    with pytest.raises(ConnectionFailed) as caught:
        [message for piece in data for message in decoder.feed(piece)]
    return caught.value.code


@given(
    st.binary(max_size=300),
    st.sampled_from([0, 125, 126, 65535, 65536]),
    st.binary(min_size=4, max_size=4),
    st.lists(st.integers(0, 70_000), max_size=5),
)
def test_any_split_decodes_to_what_was_sent(payload: bytes, padding: int, mask: bytes, cuts: list[int]) -> None:
    payload += b"x" * padding
    stream = (
        masked(Opcode.BINARY, payload, fin=False, mask=mask)
        + masked(Opcode.PING, b"hi", mask=mask)
        + masked(Opcode.CONTINUATION, b"", fin=False)
        + masked(Opcode.CONTINUATION, b"end", mask=mask)
        + masked(Opcode.TEXT, b"")
    )
    decoder = Decoder(100_000)
    messages: list[Message] = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        messages += filter(None, decoder.feed(stream[start:end]))
    assert messages == [
        Message(Opcode.PING, b"hi"),
        Message(Opcode.BINARY, payload + b"end"),
        Message(Opcode.TEXT, b""),
    ]
    assert decoder.idle


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(Opcode.TEXT, b"x")[:1] + b"\x01x", 1002),
        (b"\xc1\x80", 1002),
        (b"\xa1\x80", 1002),
        (b"\x91\x80", 1002),
        (b"\x83\x80", 1002),
        (b"\x8b\x80", 1002),
        (masked(Opcode.PING, b"x" * 126), 1002),
        (masked(Opcode.PING, b"", fin=False), 1002),
        (masked(Opcode.CLOSE, b"\x03\xe8", fin=False), 1002),
        (masked(Opcode.CONTINUATION, b""), 1002),
        (masked(Opcode.TEXT, b"ab") + masked(Opcode.CONTINUATION, b""), 1002),
        (masked(Opcode.TEXT, b"a", fin=False) + masked(Opcode.TEXT, b"b"), 1002),
        (masked(Opcode.TEXT, b"", fin=False) + masked(Opcode.BINARY, b""), 1002),
        (b"\x81\xfe\x00\x7d", 1002),
        (b"\x81\xff" + (65535).to_bytes(8, "big"), 1002),
        (b"\x81\xff" + (1 << 63).to_bytes(8, "big"), 1002),
        (masked(Opcode.TEXT, b"\xff"), 1007),
        (masked(Opcode.TEXT, b"\xed\xa0", fin=False), 1007),
        (masked(Opcode.TEXT, b"\xc3", fin=False) + masked(Opcode.CONTINUATION, b"x", fin=False), 1007),
        (masked(Opcode.TEXT, b"\xc3", fin=False) + masked(Opcode.CONTINUATION, b""), 1007),
        (masked(Opcode.TEXT, b"x" * 1001), 1009),
        (masked(Opcode.TEXT, b"x" * 600, fin=False) + masked(Opcode.CONTINUATION, b"x" * 600), 1009),
    ],
)
def test_fails_with_the_close_code_of_the_rfc(data: bytes, code: int) -> None:
    assert failure(data) == code
    assert failure(*(data[at : at + 1] for at in range(len(data)))) == code


AWKWARD = st.sampled_from(
    [*b"az\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff"]
)


@given(st.lists(AWKWARD, min_size=1, max_size=8).map(bytes), st.data())
def test_text_fails_at_the_byte_that_cannot_be_utf8(text: bytes, data: st.DataObject) -> None:
    fatal = next((at for at in range(1, len(text) + 1) if not can_become_text(text[:at])), None)
    cut = data.draw(st.integers(0, len(text)))
    # Neither the second fragment nor its message ends: a whole frame is not waited for.
    stream = masked(Opcode.TEXT, text[:cut], fin=False) + masked(0, text[cut:] + b"..", fin=False)[:-2]
    heads = 6 if fatal is not None and fatal <= cut else 12
    healthy = stream if fatal is None else stream[: heads + fatal - 1]
    decoder = Decoder(1000)
    heard = [message for at in range(len(healthy)) for message in decoder.feed(healthy[at : at + 1])]
    # The first fragment ends no message.
    assert not any(heard)
    if fatal is not None:
        with pytest.raises(ConnectionFailed) as caught:
            list(decoder.feed(stream[heads + fatal - 1 : heads + fatal]))
        assert caught.value.code == 1007


def test_text_in_fragments_may_split_a_character() -> None:
    euro = "€".encode()
    decoder = Decoder(100)
    stream = masked(1, euro[:1], fin=False) + masked(0, euro[1:2], fin=False) + masked(0, euro[2:])
    assert list(decoder.feed(stream)) == [None, None, Message(Opcode.TEXT, euro)]


def test_a_message_may_be_as_long_as_the_limit_and_control_frames_do_not_count() -> None:
    half = b"x" * 50
    stream = masked(2, half, fin=False) + masked(Opcode.PING, b"y" * 125) + masked(0, half)
    heard = list(Decoder(100).feed(stream))
    assert heard == [None, Message(Opcode.PING, b"y" * 125), Message(Opcode.BINARY, half + half)]


def test_messages_before_a_fault_are_heard() -> None:
    messages = Decoder(100).feed(masked(Opcode.TEXT, b"ok") + b"\x83\x80")
    assert next(messages) == Message(Opcode.TEXT, b"ok")
    with pytest.raises(ConnectionFailed):
        next(messages)


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x81",
        b"\x81\xfe\x01",
        b"\x81\x83\x01\x02\x03",
        masked(1, b"abc")[:-1],
        masked(1, b"abc")[:-3],
        masked(1, b"", fin=False),
        masked(9, b"abc")[:-1],
    ],
)
def test_an_unfinished_frame_or_message_is_not_idle(beginning: bytes) -> None:
    decoder = Decoder(1000)
    assert decoder.idle
    assert not any(decoder.feed(beginning))
    assert (decoder.idle, list(decoder.feed(b""))) == (False, [])


@given(st.sampled_from(Opcode), st.text(max_size=140).map(str.encode) | st.binary(max_size=10), st.booleans())
@example(Opcode.TEXT, b"hello", True)
@example(Opcode.PONG, b"", True)
def test_a_frame_in_one_piece_means_what_it_means_in_many(opcode: Opcode, payload: bytes, final: bool) -> None:
    stream = masked(opcode, payload, fin=final)

    def heard(pieces: Iterable[bytes]) -> tuple[list[Message | None], int]:
        decoder, messages = Decoder(100), list[Message | None]()
        try:
            for piece in pieces:
                messages += decoder.feed(piece)
        except ConnectionFailed as error:
            return messages, error.code
        return messages, decoder.idle

    assert heard([stream]) == heard(stream[at : at + 1] for at in range(len(stream)))


def test_sixty_five_thousand_fragments_make_one_message() -> None:
    count, size = 65_536, 4
    decoder = Decoder(count * size)
    stream = masked(2, b"\0" * size, fin=False) + masked(0, b"\0" * size, fin=False) * (count - 2) + masked(0, b"last")
    *fragments, message = decoder.feed(stream)
    assert fragments == [None] * (count - 1)
    assert message == Message(Opcode.BINARY, bytes(size * (count - 1)) + b"last")


def test_an_empty_fragment_is_told_of_like_any_other() -> None:
    decoder = Decoder(100)
    stream = masked(1, b"", fin=False) + masked(0, b"", fin=False) * 3
    assert list(decoder.feed(stream)) == [None] * 4
    assert decoder.in_message
    assert list(decoder.feed(masked(0, b""))) == [Message(Opcode.TEXT, b"")]
    assert not decoder.in_message


@pytest.mark.parametrize(
    ("beginning", "kept"),
    [
        (b"", 0),
        (b"\x81", 1),
        (masked(1, b"abc")[:-1], 2),
        (masked(1, b"abc", fin=False) + b"\x80", 4),
        (masked(9, b"abc")[:-1], 2),
    ],
)
def test_what_is_kept_is_known(beginning: bytes, kept: int) -> None:
    decoder = Decoder(1000)
    list(decoder.feed(beginning))
    assert decoder.kept == kept
