from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from quopri import encodestring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.webmail.mail.transfer import MAX_PADDED, decoded, end_of_base64, from_base64


def cut(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_base64_in_any_pieces(data: bytes, size: int) -> None:
    lines = b"\r\n".join(cut(b64encode(data), 20))
    assert b"".join(decoded(cut(lines, size), "base64")) == data


@given(st.text(max_size=300), st.integers(1, 50))
def test_quoted_printable_in_any_pieces(text: str, size: int) -> None:
    data = text.replace("\r", "").encode()
    assert b"".join(decoded(cut(encodestring(data), size), "quoted-printable")) == data


@pytest.mark.parametrize(
    ("encoded", "data"),
    [
        (b"QQ", b"A"),
        (b"QQ==QUI=QUJD", b"AABABC"),
        (b"QUJDR", b"ABC"),
        (b"Q!U\0J D\xff", b"ABC"),
        (b"", b""),
        (b"====", b""),
    ],
)
def test_base64_as_mailers_write_it(encoded: bytes, data: bytes) -> None:
    assert from_base64(encoded) == data


def test_nobody_pads_that_often() -> None:
    assert from_base64(b"QUJD=" * (MAX_PADDED + 1)) == b"ABC" * (MAX_PADDED + 1)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (b"QUJD\nQUJD\n", 10),
        (b"QUJD\n___\nlist\n", 5),
        (b"QUI=\nto the list\n", 5),
        (b"QUJD\r\n\r\n-- \r\n", 8),
        (b"no base64 at all", 0),
        (b"QUJD  \n\t\nQUJD", 13),
    ],
)
def test_a_footer_begins_with_the_first_line_that_is_no_base64(body: bytes, end: int) -> None:
    assert end_of_base64(body) == end


@pytest.mark.parametrize("encoding", ["", "7bit", "8bit", "binary", "x-uuencode"])
def test_everything_else_is_what_it_is(encoding: str) -> None:
    assert list(decoded([b"a=\n", b"b"], encoding)) == [b"a=\n", b"b"]
