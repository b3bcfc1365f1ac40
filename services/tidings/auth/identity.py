"""Who a request speaks for. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """Who a request speaks for. `accounts` starts with the primary one; `expires` is in Unix seconds or None."""

    username: str
    accounts: tuple[str, ...]
    expires: float | None
