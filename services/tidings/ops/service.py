"""A part of a process that is started and stopped."""

from __future__ import annotations

from typing import Protocol


class Service(Protocol):
    """A part of a process that is started and stopped."""

    @property
    def name(self) -> str:
        """What log lines call it."""

    async def start(self) -> None:
        """Begin to serve. Raises SettingsError for what the operator has to change."""

    async def stop(self) -> None:
        """End, cleanly and soon. Not called unless `start` returned."""
