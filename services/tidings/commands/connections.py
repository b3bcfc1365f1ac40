"""`tidings connections`: show client connections."""

from __future__ import annotations

from tidings.oncall.service import run_connections as run

__all__ = ["run"]
