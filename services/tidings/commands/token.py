"""`tidings token`: make a token, or say why one is refused."""

from __future__ import annotations

from tidings.oncall.tokens import run

__all__ = ["run"]
