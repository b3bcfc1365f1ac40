from __future__ import annotations

from tidings.ops.http.bearer import Tokens


def test_only_whole_tokens_are_known() -> None:
    tokens = Tokens(["one", "zwei:ü"])
    assert tokens.know(b"one")
    assert tokens.know("zwei:ü".encode())
    assert tokens.know("zwei:ü".encode().decode("latin-1"))
    assert not any(tokens.know(guess) for guess in (b"", b"on", b"onee", b"ONE", b"one,zwei", "\u20ac"))


def test_no_tokens_know_none() -> None:
    assert not Tokens([])
    assert not Tokens([]).know(b"")
