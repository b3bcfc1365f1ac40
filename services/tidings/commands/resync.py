"""`tidings resync`: have clients look."""

from __future__ import annotations

from tidings.check.resync import run

__all__ = ["run"]
