"""`tidings gateway`: push changes to browsers."""

from __future__ import annotations

import socket

import tidings.gateway.service
from tidings.bus.service import LogService, shared_log
from tidings.gateway.net.listener import listen_shared
from tidings.gateway.settings import GatewaySettings
from tidings.ops.process.lifecycle import run as serve
from tidings.ops.process.runtime import Runtime
from tidings.ops.service import Service


def run(settings: GatewaySettings) -> int:
    """Run a gateway, or several on one port."""

    def compose(runtime: Runtime, listener: socket.socket | None = None) -> list[Service]:
        log = shared_log(settings)
        return [
            LogService(log, runtime.registry),
            *tidings.gateway.service.compose(settings, log, runtime, listener=listener),
        ]

    if settings.workers == 1:
        return serve(settings, "gateway", compose)
    from tidings.ops.process.workers import run_workers

    return run_workers(
        settings,
        "gateway",
        lambda: listen_shared(settings.host, settings.port, settings.workers),
        compose,
        tidings.gateway.service.joined_pages(),
    )
