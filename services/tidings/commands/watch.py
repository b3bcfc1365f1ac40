"""`tidings watch`: show what clients of an account are told."""

from __future__ import annotations

from tidings.check.watch import run

__all__ = ["run"]
