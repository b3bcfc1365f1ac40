"""The composition root of `tidings check`."""

from __future__ import annotations

import asyncio
import secrets
import sys
from functools import partial

import uvloop

from tidings.bus.log import ChangeLog
from tidings.check.counting import Load, count
from tidings.check.installation import Installation
from tidings.check.once import tell_each
from tidings.check.settings import CheckSettings
from tidings.check.through.service import look_through
from tidings.errors import CheckFailed
from tidings.ops import logs


def run(settings: CheckSettings, log: ChangeLog | None) -> int:
    """Check as the settings say; the exit code: 0 when all is well, 1 when something is not.

    Raises SettingsError for what the operator has to change.
    """
    logs.configure("auto", "warning")
    installation = Installation(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return 0 if runner.run(_check(settings, installation, log)) else 1
        except CheckFailed as error:
            sys.stderr.write(f"tidings check: {error}\n")
        except KeyboardInterrupt:
            sys.stderr.write("tidings check: interrupted\n")
    return 1


async def _check(settings: CheckSettings, installation: Installation, log: ChangeLog | None) -> bool:
    if settings.through:
        return await look_through(settings, installation.accounts[0], _say)
    async for line in tell_each(installation, settings.timeout_seconds):
        _say(line)
    if not settings.seconds:
        return True
    seed = settings.seed or secrets.randbelow(2**32)
    _say(f"counting for {settings.seconds:g} s with --seed {seed}")
    load = Load(settings.clients, settings.rate, settings.timeout_seconds, seed)
    report = await count(installation, load, partial(asyncio.sleep, settings.seconds), log, _say)
    _say(str(report))
    return report.passed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
