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
from tidings.ops.tracing.opening import tracer_of


def run(settings: GatewaySettings) -> int:
    """Run a gateway, or several on one port."""

    def compose(runtime: Runtime, listener: socket.socket | None = None) -> list[Service]:
        log = shared_log(settings)
        tracer = tracer_of(settings, "gateway", runtime.registry)
        return [
            *([] if tracer is None else [tracer]),
            LogService(log, runtime.registry),
            *tidings.gateway.service.compose(settings, log, runtime, listener=listener, tracer=tracer),
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
