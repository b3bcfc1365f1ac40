"""Tells which TIDINGS_* variables a command does not read."""

from __future__ import annotations

import sys
from collections.abc import Collection

import structlog

from tidings.ops import logs
from tidings.ops.settings.common import LogSettings
from tidings.ops.settings.environment import Variables, nearest
from tidings.ops.settings.fields import Settings


def tell(found: Variables, settings: Settings, known: Collection[str]) -> None:
    """Warn of variables of another program; say which are settings of other commands, and therefore have no effect.

    A service logs it. Other commands print the warning; what else their environment has is for services.
    """
    links = [_named(name, known) for name in found.links]
    if not isinstance(settings, LogSettings):
        if links:
            sys.stderr.write(f"not read, since Kubernetes sets them for Services: {', '.join(links)}\n")
        return
    logs.configure(settings.log_format, settings.log_level)
    log = structlog.get_logger("tidings.settings")
    if links:
        log.warning(
            "variables of another program are not read",
            variables=links,
            reason="Kubernetes sets these variables for Services named tidings...: use enableServiceLinks: false",
        )
    if found.unused:
        log.info("variables of other commands are not read", variables=list(found.unused))


def _named(name: str, known: Collection[str]) -> str:
    near = nearest(name, known)
    return name if near is None else f"{name} (the nearest setting is {near})"
