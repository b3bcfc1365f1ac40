from __future__ import annotations

import jwt

from tidings.auth.minting import minted

SECRET = "0123456789abcdef" * 2


def test_a_token_has_the_claims_that_are_given() -> None:
    token = minted(SECRET, ("alice", "shared"), 2_000_000_000, "email", "https://issuer", "tidings")
    claims = jwt.decode(token, SECRET, ["HS256"], audience="tidings")
    expected = {"email": "alice", "accounts": ["shared"], "iss": "https://issuer", "aud": "tidings"}
    assert claims == {**expected, "exp": 2_000_000_000}


def test_what_is_not_given_is_not_claimed() -> None:
    claims = jwt.decode(minted(SECRET, ("alice",), 2_000_000_000, "sub", None, None), SECRET, ["HS256"])
    assert claims == {"sub": "alice", "exp": 2_000_000_000}


def test_a_secret_that_is_not_utf8_signs_with_its_very_bytes() -> None:
    raw = b"\xff" * 32
    token = minted(raw.decode("utf-8", "surrogateescape"), ("alice",), 2_000_000_000, "sub", None, None)
    assert jwt.decode(token, raw, ["HS256"])["sub"] == "alice"
