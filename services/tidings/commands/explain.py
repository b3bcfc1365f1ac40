"""`tidings explain`: tell an account's story."""

from __future__ import annotations

from tidings.oncall.service import run_explain as run

__all__ = ["run"]
