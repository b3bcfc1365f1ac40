from __future__ import annotations

import jwt

from tidings.auth.claims import Claims
from tidings.auth.verifying import SecretAuthentication


def test_a_secret_that_is_not_utf8_is_the_bytes_that_it_was_read_from() -> None:
    raw = b"\xff" * 32
    authentication = SecretAuthentication(raw.decode("utf-8", "surrogateescape"), Claims())
    token = jwt.encode({"sub": "alice", "exp": 4_000_000_000}, raw, "HS256")
    assert authentication.authenticate(token, {}).accounts == ("alice",)
