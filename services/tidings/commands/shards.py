"""`tidings shards`: show the feeds of gateways."""

from __future__ import annotations

from tidings.oncall.service import run_shards as run

__all__ = ["run"]
