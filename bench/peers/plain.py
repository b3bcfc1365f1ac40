"""What the servers that are written for this comparison have in common: a token on the upgrade, changes as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.peers import post, upgrade
from bench.tokens import token

HEAD_END = b"\r\n\r\n"


def opening(account: str) -> tuple[bytes, bytes]:
    """An upgrade with an HS256 token; whoever is let in is subscribed."""
    return upgrade("/ws", f"Authorization: Bearer {token(account)}"), b""


def changes(accounts: Sequence[str], state: str) -> bytes:
    """All changes in one request: account to states by data type."""
    body = json.dumps({account: {"Email": state} for account in accounts}).encode()
    return post("/changes", body, "Content-Type: application/json")
