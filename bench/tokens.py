"""Tokens that the servers measured accept."""

from __future__ import annotations

import time

import jwt

SECRET = "a secret of thirty-two bytes or more"


def token(account: str) -> str:
    """An HS256 token of an account, for an hour."""
    return jwt.encode({"sub": account, "exp": int(time.time()) + 3600}, SECRET, "HS256")
