"""RFC 6455 sections 5, 7 and 8.1 against the echo server.

The families are those of the Autobahn test suite, which README.md says how to run; this is what of it fits into a
minute. Each case is what the client sends, the frames that come back, and how it ends: with the client's close, or
with the code that the server fails the connection with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from tests.conformance.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, fragments, upgraded
from tests.support.frames import masked

HELLO = b"Hello, world!"
GREETING = "Hello-µ@ßöäüàá-UTF-8!!".encode()
HEAD_BYTES = 6
PROTOCOL_ERROR, INVALID_PAYLOAD = 1002, 1007


class Case(NamedTuple):
    send: Sequence[bytes]
    answers: Sequence[tuple[int, bytes]] = ()
    fails: int | None = None
    octets: bool = True
    """Whether to run it once more with every byte sent alone."""


def echoed(*sends: bytes, opcode: int = TEXT, says: bytes) -> Case:
    return Case(sends, [(opcode, says)])


def failing(*sends: bytes, code: int = PROTOCOL_ERROR, answers: Sequence[tuple[int, bytes]] = ()) -> Case:
    return Case(sends, answers, code)


def framing() -> Iterator[tuple[str, Case]]:
    for opcode in (TEXT, BINARY):
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536):
            payload = b"*" * size if opcode == TEXT else b"\xfe" * size
            yield f"1-{opcode}-{size}", Case([masked(opcode, payload)], [(opcode, payload)], octets=size < 1000)
        yield f"1-{opcode}-zero-mask", echoed(masked(opcode, HELLO, mask=bytes(4)), opcode=opcode, says=HELLO)


def pings() -> Iterator[tuple[str, Case]]:
    for payload in (b"", HELLO, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125):
        yield f"2-ping-{len(payload)}", Case([masked(PING, payload)], [(PONG, payload)])
    yield "2-ping-126", failing(masked(PING, b"\xfe" * 126))
    yield "2-pong", Case([masked(PONG)])
    yield "2-pong-unsolicited", Case([masked(PONG, HELLO), masked(PING, b"p")], [(PONG, b"p")])
    many = [b"payload-%d" % number for number in range(10)]
    yield "2-ten-pings", Case([masked(PING, payload) for payload in many], [(PONG, payload) for payload in many])


def reserved() -> Iterator[tuple[str, Case]]:
    first, answer = masked(TEXT, HELLO), [(TEXT, HELLO)]
    for rsv in range(1, 8):
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
            yield f"3-rsv{rsv}-{opcode}", failing(first, masked(opcode, b"", rsv=rsv), masked(PING), answers=answer)
        tail = masked(CONTINUATION, b"x", rsv=rsv)
        yield f"3-rsv{rsv}-continuation", failing(masked(TEXT, b"x", fin=False), tail)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"4-opcode-{opcode}", failing(first, masked(opcode), masked(PING), answers=answer)
        yield f"4-opcode-{opcode}-payload", failing(first, masked(opcode, HELLO), masked(PING), answers=answer)
        yield f"4-opcode-{opcode}-inside", failing(masked(TEXT, HELLO, fin=False), masked(opcode), masked(0))


def fragmentation() -> Iterator[tuple[str, Case]]:
    begin, middle = masked(TEXT, b"fragment1", fin=False), masked(CONTINUATION, b"fragment2", fin=False)
    end = masked(CONTINUATION, b"fragment2")
    whole, ping, pong = [(TEXT, b"fragment1fragment2")], masked(PING, b"ping"), [(PONG, b"ping")]
    yield "5-ping-in-fragments", failing(masked(PING, b"a", fin=False), end)
    yield "5-pong-in-fragments", failing(masked(PONG, b"a", fin=False), end)
    yield "5-close-in-fragments", failing(masked(CLOSE, b"\x03\xe8", fin=False), end)
    yield "5-two-fragments", Case([begin, end], whole)
    yield "5-empty-fragments", echoed(masked(2, fin=False), *[masked(0, fin=False)] * 3, masked(0), opcode=2, says=b"")
    yield "5-ping-between", Case([begin, ping, end], [*pong, *whole])
    yield "5-pong-between", Case([begin, masked(PONG, b"pong"), end], whole)
    yield "5-close-between", Case([begin, close(1000)], [(CLOSE, b"\x03\xe8")])
    for fin in (True, False):
        stray = masked(CONTINUATION, b"stray", fin=fin)
        yield f"5-continuation-of-nothing-{fin}", failing(stray, masked(TEXT, HELLO))
        yield f"5-continuation-after-the-end-{fin}", failing(begin, end, stray, masked(TEXT, HELLO), answers=whole)
        yield f"5-continuation-after-a-whole-{fin}", failing(masked(TEXT, b"a"), stray, answers=[(TEXT, b"a")])
    for opcode in (TEXT, BINARY):
        yield f"5-data-{opcode}-within", failing(begin, masked(opcode, b"new"), end)
        yield f"5-data-{opcode}-within-fragmented", failing(begin, masked(opcode, b"new", fin=False), end)
    five = [begin, middle, ping, middle, middle, ping, masked(CONTINUATION, b"5")]
    yield "5-five-fragments", Case(five, [*pong, *pong, (TEXT, b"fragment1" + b"fragment2" * 3 + b"5")])
    yield "5-every-byte", echoed(*fragments(TEXT, GREETING, 1), says=GREETING)


VALID = {
    "kosme": "κόσμε",
    "one-byte-limits": "\x00\x7f",
    "two-byte-limits": "\x80\u07ff",
    "three-byte-limits": "\u0800\uffff",
    "four-byte-limits": "\U00010000\U0010ffff",
    "around-surrogates": "\ud7ff\ue000\ufffd",
    "noncharacters": "\ufdd0\ufdef\ufffe\U0001fffe\U0010fffe",
    "byte-order-mark": "\ufeffa",
}
INVALID = {
    "continuation-first": b"\x80",
    "continuation-last": b"\xbf",
    "continuations": b"\x80\xbf\x80\xbf",
    "lonely-starts": b"\xc2 \xdf ",
    "truncated-3": b"\xe2\x82",
    "truncated-4": b"\xf0\x9f\x98",
    "impossible-fe": b"\xfe",
    "impossible-ff": b"\xff",
    "overlong-2": b"\xc0\xaf",
    "overlong-3": b"\xe0\x80\xaf",
    "overlong-4": b"\xf0\x80\x80\xaf",
    "overlong-2-limit": b"\xc1\xbf",
    "overlong-3-limit": b"\xe0\x9f\xbf",
    "overlong-4-limit": b"\xf0\x8f\xbf\xbf",
    "overlong-nul": b"\xc0\x80",
    "surrogate-first": b"\xed\xa0\x80",
    "surrogate-last": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80",
    "above-10ffff": b"\xf4\x90\x80\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "six-bytes": b"\xfc\x84\x80\x80\x80\x80",
    "in-between": "κόσμε".encode() + b"\xed\xa0\x80edited",
}


def utf8() -> Iterator[tuple[str, Case]]:
    yield "6-empty", echoed(masked(TEXT), says=b"")
    yield "6-empty-fragments", echoed(masked(TEXT, fin=False), masked(0, fin=False), masked(0), says=b"")
    for name, text in VALID.items():
        data = text.encode()
        yield f"6-valid-{name}", echoed(masked(TEXT, data), says=data)
        yield f"6-valid-{name}-fragments", echoed(*fragments(TEXT, data, 1), says=data)
        yield (
            f"6-valid-{name}-with-pings",
            Case([part for piece in fragments(TEXT, data, 1) for part in (piece, masked(PONG))], [(TEXT, data)]),
        )
    for name, data in INVALID.items():
        yield f"6-invalid-{name}", failing(masked(TEXT, data), code=INVALID_PAYLOAD)
        yield f"6-invalid-{name}-fragments", failing(*fragments(TEXT, data, 1), code=INVALID_PAYLOAD)
        yield f"6-binary-{name}", echoed(*fragments(BINARY, data, 1), opcode=BINARY, says=data)


def closing() -> Iterator[tuple[str, Case]]:
    answered = [(CLOSE, b"\x03\xe8")]
    yield "7-close-twice", Case([close(1000), close(1000)], answered)
    yield "7-ping-after", Case([close(1000), masked(PING)], answered)
    yield "7-text-after", Case([close(1000), masked(TEXT, b"late")], answered)
    yield "7-garbage-after", Case([close(1000), b"\xff" * 20], answered)
    yield "7-after-text", Case([masked(TEXT, HELLO), close(1000)], [(TEXT, HELLO), *answered])
    yield "7-without-code", Case([masked(CLOSE)], [(CLOSE, b"")])
    yield "7-one-byte", failing(masked(CLOSE, b"\x03"))
    yield "7-reason", Case([close(1000, HELLO)], answered)
    yield "7-longest-reason", Case([close(1000, b"*" * 123)], answered)
    yield "7-too-long-a-reason", failing(close(1000, b"*" * 124))
    yield "7-reason-not-utf8", failing(close(1000, INVALID["in-between"]), code=INVALID_PAYLOAD)
    long = b"*" * (1 << 20)
    yield (
        "7-text-after-while-an-echo-waits",
        Case([masked(BINARY, long) + close(1000) + masked(TEXT, b"late")], [(BINARY, long), *answered], octets=False),
    )
    for code in (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999):
        yield f"7-code-{code}", Case([close(code)], [(CLOSE, code.to_bytes(2, "big"))])
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"7-code-{code}", failing(close(code))
        yield f"7-code-{code}-reason", failing(close(code, HELLO))


def heads() -> Iterator[tuple[str, Case]]:
    for opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        yield f"unmasked-{opcode}", failing(masked(opcode, b"", mask=b""))
    for size in (0, 1, 125):
        yield f"length-{size}-in-16-bits", failing(b"\x82\xfe" + size.to_bytes(2, "big"))
    for size in (0, 125, 126, 65535):
        yield f"length-{size}-in-64-bits", failing(b"\x82\xff" + size.to_bytes(8, "big"))
    for size in (1 << 63, (1 << 64) - 1):
        yield f"length-{size:x}", failing(b"\x82\xff" + size.to_bytes(8, "big"))
    for size in (1 << 24 | 1, (1 << 63) - 1):
        yield f"length-{size:x}", failing(b"\x82\xff" + size.to_bytes(8, "big"), code=1009)


CASES = dict(case for family in (framing, pings, reserved, fragmentation, utf8, closing, heads) for case in family())


def octets(case: Case) -> list[bytes]:
    stream = b"".join(case.send)
    return [stream[at : at + 1] for at in range(len(stream))]


RUNS: list[Any] = [
    pytest.param(case._replace(send=send), id=f"{name}{how}")
    for name, case in CASES.items()
    for how, send in (("", case.send), ("-at-once", [b"".join(case.send)]), ("-octets", octets(case)))
    if how != "-octets" or case.octets
]


@pytest.mark.parametrize("case", RUNS)
def test_frames(case: Case, port: int) -> None:
    with upgraded(port) as peer:
        try:
            peer.send(case.send)
        except ConnectionError:
            # The server has ended a connection that failed, and its answer can be read all the same.
            assert case.fails
        assert peer.frames(len(case.answers)) == list(case.answers)
        if case.fails:
            peer.closes(case.fails)
        elif case.answers and case.answers[-1][0] == CLOSE:
            assert peer.ends()
        else:
            peer.send([close(1000, b"done")])
            peer.closes(1000)


@pytest.mark.parametrize("name", INVALID)
def test_text_fails_before_its_frame_or_message_is_complete(name: str, port: int) -> None:
    valid, rest = "κόσμε".encode(), b"!edited, and more that never comes"
    bad = INVALID[name]
    with upgraded(port) as peer:
        peer.send([masked(TEXT, valid, fin=False), masked(CONTINUATION, bad + rest)[: HEAD_BYTES + len(bad) + 1]])
        peer.closes(INVALID_PAYLOAD)


def test_a_surrogate_fails_at_its_second_byte(port: int) -> None:
    with upgraded(port) as peer:
        peer.send([masked(TEXT, b"\xed\xa0\x80")[: HEAD_BYTES + 2]])
        peer.closes(INVALID_PAYLOAD)
