"""`tidings check`: tell an installation of changes and see them arrive."""

from __future__ import annotations

import tidings.check.service
from tidings.bus.service import open_log
from tidings.check.settings import CheckSettings


def run(settings: CheckSettings) -> int:
    """Check an installation."""
    return tidings.check.service.run(settings, None if settings.bus_in_memory else open_log(settings))
