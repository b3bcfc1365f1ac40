"""The command line: which services one process runs, and on which log."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import Field
from pydantic_settings import SettingsConfigDict

import tidings.check.service
import tidings.gateway.service
import tidings.publisher.service
import tidings.webmail.service
from tidings.bus.log import ChangeLog
from tidings.bus.memory import MemoryLog
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.check.settings import CheckSettings
from tidings.errors import SettingsError
from tidings.gateway.listener import listen_shared
from tidings.gateway.settings import GatewaySettings
from tidings.ops.access import client_access
from tidings.ops.lifecycle import Runtime, Service, run
from tidings.ops.metrics import HotMetrics
from tidings.ops.settings import BusSettings, parse
from tidings.ops.workers import run_workers
from tidings.publisher.settings import PublisherSettings
from tidings.webmail.settings import WebmailSettings

USAGE_EXIT: Final = 2


class UpSettings(GatewaySettings, PublisherSettings):
    """Everything in one process: gateway and webmail on one port, ingest, a Maildir watched, the log in memory."""

    # The publisher's short name for its port is the gateway's here.
    model_config = SettingsConfigDict(cli_shortcuts={})

    maildir: Path = Field(Path("var/mail"), description="directory with one Maildir per account")
    port: int = Field(8080, ge=0, le=65535, description="port of gateway and webmail; 0 for any free one")
    admin_port: int = Field(9090, ge=0, le=65535, description="admin port; 0 for any free one")
    probe_port: int = Field(9091, ge=0, le=65535, description="port for probes and metrics; 0 for any free one")
    # One process on a terminal: nobody sends clients anywhere else.
    drain_delay_seconds: float = Field(
        0.0, ge=0, le=300, description="on SIGTERM, how long to go on as before, only not ready"
    )


class LogService:
    """The log's connections, up before the services that use it and closed after them."""

    name = "log"

    def __init__(self, log: ChangeLog, registry: CollectorRegistry) -> None:
        self._log = log
        if isinstance(log, RabbitMQLog):
            expose(log, HotMetrics(registry))

    async def start(self) -> None:
        """Begin connecting."""
        await self._log.open()

    async def stop(self) -> None:
        """Close."""
        await self._log.close()


def expose(log: RabbitMQLog, metrics: HotMetrics) -> None:
    """Tell in metrics how it stands with the broker."""
    label = ["connection"]
    metrics.labelled_gauge(
        "tidings_bus_connected", "Whether a connection to the broker is up", label, lambda: log.connected
    )
    metrics.labelled_counter(
        "tidings_bus_failures", "Connections to the broker that ended or could not be made", label, lambda: log.failures
    )
    metrics.gauge("tidings_bus_blocked", "Whether the broker blocks publishing (an alarm)", lambda: log.blocked)


def open_log(settings: BusSettings) -> ChangeLog:
    """The log that the settings name."""
    if settings.bus_in_memory:
        return MemoryLog(settings.shards)
    return RabbitMQLog(settings.bus, settings.shards)


def shared_log(settings: BusSettings) -> ChangeLog:
    """The log for a service in a process of its own. Raises SettingsError for one that ends with the process."""
    if settings.bus_in_memory:
        raise SettingsError(
            "--bus (TIDINGS_BUS): memory:// reaches no other process; give amqp://..., or use tidings up"
        )
    return open_log(settings)


def up(argv: Sequence[str]) -> int:
    """Run everything in one process."""
    settings = parse(UpSettings, "tidings up", argv)
    if settings.workers > 1:
        raise SettingsError(
            "--workers (TIDINGS_WORKERS): tidings up is one process; use tidings gateway for more than one worker"
        )

    def compose(runtime: Runtime) -> list[Service]:
        log = open_log(settings)
        access = client_access(settings, settings.host, runtime)
        mail = tidings.webmail.service.create_fallback(settings.maildir, settings, access.gatekeeper, runtime)
        return [
            LogService(log, runtime.registry),
            *tidings.publisher.service.compose(settings, log, runtime),
            *tidings.gateway.service.compose(settings, log, runtime, mail, access=access),
        ]

    return run(settings, "up", compose)


def gateway(argv: Sequence[str]) -> int:
    """Push changes to browsers."""
    settings = parse(GatewaySettings, "tidings gateway", argv)

    def compose(runtime: Runtime, listener: socket.socket | None = None) -> list[Service]:
        log = shared_log(settings)
        return [
            LogService(log, runtime.registry),
            *tidings.gateway.service.compose(settings, log, runtime, listener=listener),
        ]

    if settings.workers == 1:
        return run(settings, "gateway", compose)
    return run_workers(
        settings,
        "gateway",
        lambda: listen_shared(settings.host, settings.port, settings.workers),
        compose,
    )


def publisher(argv: Sequence[str]) -> int:
    """Take changes from mail storages."""
    settings = parse(PublisherSettings, "tidings publisher", argv)

    def compose(runtime: Runtime) -> list[Service]:
        log = shared_log(settings)
        return [LogService(log, runtime.registry), *tidings.publisher.service.compose(settings, log, runtime)]

    return run(settings, "publisher", compose)


def webmail(argv: Sequence[str]) -> int:
    """Serve a small mail web client."""
    settings = parse(WebmailSettings, "tidings webmail", argv)
    return run(settings, "webmail", lambda runtime: tidings.webmail.service.compose(settings, runtime))


def check(argv: Sequence[str]) -> int:
    """Tell an installation of changes and see them arrive."""
    settings = parse(CheckSettings, "tidings check", argv)
    return tidings.check.service.run(settings, None if settings.bus_in_memory else open_log(settings))


COMMANDS: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    command.__name__: command for command in (up, gateway, publisher, webmail, check)
}


def usage() -> str:
    """What `tidings --help` prints."""
    commands = "\n".join(f"  {name:10} {command.__doc__}" for name, command in COMMANDS.items())
    return f"usage: tidings COMMAND [flags]\n\ncommands:\n{commands}\n\n`tidings COMMAND --help` lists its flags.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code.

    0 after a clean stop, 1 for a check that found something wrong, 2 for what the operator has to change.
    """
    arguments = sys.argv[1:] if argv is None else argv
    match arguments:
        case ["--version"]:
            sys.stdout.write(f"tidings {version('tidings')}\n")
            return 0
        case [("-h" | "--help" | "help")]:
            sys.stdout.write(usage())
            return 0
        case [name, *flags] if name in COMMANDS:
            try:
                return COMMANDS[name](flags)
            except SettingsError as error:
                sys.stderr.write(f"tidings {name}: {error}\n")
                return USAGE_EXIT
        case [name, *_]:
            sys.stderr.write(f"tidings: there is no command {name!r} (see tidings --help)\n")
            return USAGE_EXIT
        case _:
            sys.stderr.write(usage())
            return USAGE_EXIT
