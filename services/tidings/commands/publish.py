"""`tidings publish`: tell a publisher of one change."""

from __future__ import annotations

from tidings.check.publish import run

__all__ = ["run"]
