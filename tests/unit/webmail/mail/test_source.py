from __future__ import annotations

import pytest

from tidings.webmail.mail.source import WINDOW, Bytes, find, occurrences, windows


def test_what_lies_across_two_windows_is_found() -> None:
    for place in range(WINDOW - 5, WINDOW + 2):
        source = Bytes(b"x" * place + b"here" + b"x" * WINDOW + b"here")
        assert list(occurrences(source, b"here", 0, source.size)) == [place, place + 4 + WINDOW]


def test_what_begins_or_ends_outside_is_not_found() -> None:
    source = Bytes(b"here, here")
    assert find(source, b"here", 1, source.size) == 6
    assert find(source, b"here", 1, source.size - 1) == -1


@pytest.mark.parametrize("size", [0, 1, WINDOW, WINDOW + 1])
def test_windows_are_all_of_it(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    pieces = list(windows(Bytes(data), 0, size))
    assert b"".join(pieces) == data
    assert all(len(piece) <= WINDOW for piece in pieces)
