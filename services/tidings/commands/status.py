"""`tidings status`: show every process."""

from __future__ import annotations

from tidings.oncall.service import run_status as run

__all__ = ["run"]
