"""`tidings up`: everything in one process."""

from __future__ import annotations

import sys

import tidings.gateway.service
import tidings.publisher.service
import tidings.webmail.service
from tidings.auth.access import client_access
from tidings.bus.service import LogService, open_log
from tidings.commands.settings import UpSettings
from tidings.errors import SettingsError
from tidings.gateway.service import GatewayService
from tidings.ops.http.loopback import unix_path
from tidings.ops.process.lifecycle import run as serve
from tidings.ops.process.runtime import Runtime
from tidings.ops.service import Service
from tidings.ops.tracing.opening import tracer_of


def run(settings: UpSettings) -> int:
    """Run gateway, webmail and publisher in this process."""
    if settings.workers > 1:
        raise SettingsError(
            "--workers (TIDINGS_WORKERS): tidings up is one process; use tidings gateway for more than one worker"
        )

    if unix_path(settings.host) is not None:
        raise SettingsError(
            "--host (TIDINGS_HOST): tidings up listens on two ports, and one Unix socket cannot replace both; "
            "use tidings gateway, tidings publisher and tidings webmail"
        )

    def compose(runtime: Runtime) -> list[Service]:
        log = open_log(settings)
        access = client_access(settings, settings.host, runtime.registry, runtime.health, runtime.pool)
        mail = tidings.webmail.service.create_fallback(settings.maildir, settings, access.gatekeeper, runtime)
        tracer = tracer_of(settings, "up", runtime.registry)
        gateway = tidings.gateway.service.compose(settings, log, runtime, mail, access=access, tracer=tracer)
        listening = gateway[-1]
        assert isinstance(listening, GatewayService)  # noqa: S101 - the others are those of the access
        runtime.started.append(lambda: _tell(settings.public_url or page_url(listening.host, listening.port)))
        return [
            *([] if tracer is None else [tracer]),
            LogService(log, runtime.registry),
            *tidings.publisher.service.compose(settings, log, runtime, tracer),
            *gateway,
        ]

    return serve(settings, "up", compose)


def page_url(host: str, port: int) -> str:
    """The URL of the webmail as a browser on this machine reaches it."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"http://[{reached}]:{port}/" if ":" in reached else f"http://{reached}:{port}/"


def _tell(url: str) -> None:
    """Print what to open, as the last line: for a person, and so not in the log."""
    sys.stdout.write(f"Running. Open in a browser: {url}\n")
    sys.stdout.flush()
