"""`tidings publisher`: take changes from mail storages."""

from __future__ import annotations

import tidings.publisher.service
from tidings.bus.service import LogService, shared_log
from tidings.ops.process.lifecycle import run as serve
from tidings.ops.process.runtime import Runtime
from tidings.ops.service import Service
from tidings.ops.tracing.opening import tracer_of
from tidings.publisher.settings import PublisherSettings


def run(settings: PublisherSettings) -> int:
    """Run a publisher."""

    def compose(runtime: Runtime) -> list[Service]:
        log = shared_log(settings)
        tracer = tracer_of(settings, "publisher", runtime.registry)
        return [
            *([] if tracer is None else [tracer]),
            LogService(log, runtime.registry),
            *tidings.publisher.service.compose(settings, log, runtime, tracer),
        ]

    return serve(settings, "publisher", compose)
