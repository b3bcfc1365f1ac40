"""Tokens for the commands that speak as a client: HS256, of the claims that a gateway asks for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import jwt

from tidings.auth import hs256


def minted(
    secret: str, accounts: Sequence[str], expires: int, account_claim: str, issuer: str | None, audience: str | None
) -> str:
    """A token for these accounts, the first of them the primary one, that expires at this Unix time."""
    claims = {
        account_claim: accounts[0],
        "accounts": list(accounts[1:]) or None,
        "exp": expires,
        "iss": issuer,
        "aud": audience,
    }
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, hs256.key(secret), algorithm="HS256")
