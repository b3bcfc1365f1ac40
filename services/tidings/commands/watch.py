"""`tidings watch`: listen as a client of an account."""

from __future__ import annotations

from tidings.check.watch import run

__all__ = ["run"]
