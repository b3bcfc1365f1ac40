"""`tidings disconnect`: close an account's connections."""

from __future__ import annotations

from tidings.oncall.service import run_disconnect as run

__all__ = ["run"]
