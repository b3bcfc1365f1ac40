from __future__ import annotations

import pytest

from tidings.ops.tokens import Tokens, bearer


def test_only_whole_tokens_are_known() -> None:
    tokens = Tokens(["one", "zwei:ü"])
    assert tokens.know(b"one")
    assert tokens.know("zwei:ü".encode())
    assert not any(tokens.know(guess) for guess in (b"", b"on", b"onee", b"ONE", b"one,zwei"))


def test_no_tokens_know_none() -> None:
    assert not Tokens([])
    assert not Tokens([]).know(b"")


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer one", b"one"),
        ("bearer  one ", b"one"),
        ("Bearer", b""),
        ("one", b""),
        ("Basic b25lOm9uZQ==", b""),
        ("Bearer \u20ac", b"?"),
    ],
)
def test_bearer_tokens(authorization: str, token: bytes) -> None:
    assert bearer(authorization) == token
