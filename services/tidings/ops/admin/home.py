"""The dashboard, as the pages below `/debug/` lead back to it."""

from __future__ import annotations

from typing import Final

from asyncio_pprof import Home

DASHBOARD: Final = Home("Dashboard", "../")
