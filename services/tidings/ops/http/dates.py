"""The date of a response (RFC 9110 section 6.6.1)."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache


def http_date() -> str:
    """Now, as the field Date has it."""
    return _formatted(int(time.time()))


@lru_cache(maxsize=1)
def _formatted(seconds: int) -> str:
    # Many responses have the same second.
    return formatdate(seconds, usegmt=True)
