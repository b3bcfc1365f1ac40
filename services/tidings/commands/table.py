"""The commands: what each does, and where its settings and the function that runs it are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tidings.ops.settings.fields import Settings


@dataclass(frozen=True)
class Entry:
    """A command: what it does, and where its settings and the function that runs it are (`run`)."""

    does: str
    settings: str
    module: str

    def load_settings(self) -> type[Settings]:
        """The class of its settings."""
        module, _, name = self.settings.partition(":")
        found: type[Settings] = getattr(import_module(module), name)
        return found

    def load(self) -> Callable[[Settings], int]:
        """The function that runs it."""
        found: Callable[[Settings], int] = import_module(self.module).run
        return found


COMMANDS: Final = {
    "up": Entry(
        "Run everything in one process.",
        "tidings.commands.settings:UpSettings",
        "tidings.commands.up",
    ),
    "gateway": Entry(
        "Push changes to browsers.",
        "tidings.gateway.settings:GatewaySettings",
        "tidings.commands.gateway",
    ),
    "publisher": Entry(
        "Accept changes from mail storages.",
        "tidings.publisher.settings:PublisherSettings",
        "tidings.commands.publisher",
    ),
    "webmail": Entry(
        "Serve a small mail web client.",
        "tidings.webmail.settings:WebmailSettings",
        "tidings.commands.webmail",
    ),
    "check": Entry(
        "Check an installation: publish changes and see them arrive.",
        "tidings.check.settings:CheckSettings",
        "tidings.commands.check",
    ),
    "cyrus-notify": Entry(
        "Write notifications of Cyrus IMAP to a publisher's journal.",
        "tidings.publisher.sources.cyrus.settings:CyrusNotifySettings",
        "tidings.commands.cyrus_notify",
    ),
    "resync": Entry(
        "Ask clients to resynchronise: anything may have changed.",
        "tidings.check.resync_settings:ResyncSettings",
        "tidings.commands.resync",
    ),
    "postgres-schema": Entry(
        "Print the SQL of the PostgreSQL outbox.",
        "tidings.commands.postgres_schema:SchemaSettings",
        "tidings.commands.postgres_schema",
    ),
    "status": Entry(
        "Show every process, and what is wrong.",
        "tidings.oncall.settings:StatusSettings",
        "tidings.commands.status",
    ),
    "shards": Entry(
        "Show the shards that gateways read.",
        "tidings.oncall.settings:ShardsSettings",
        "tidings.commands.shards",
    ),
    "connections": Entry(
        "Show the client connections.",
        "tidings.oncall.settings:ConnectionsSettings",
        "tidings.commands.connections",
    ),
    "explain": Entry(
        "Explain what the clients of an account received, and why not.",
        "tidings.oncall.settings:ExplainSettings",
        "tidings.commands.explain",
    ),
    "disconnect": Entry(
        "Close all connections of an account.",
        "tidings.oncall.settings:DisconnectSettings",
        "tidings.commands.disconnect",
    ),
    "publish": Entry(
        "Publish one change of an account.",
        "tidings.check.publish_settings:PublishSettings",
        "tidings.commands.publish",
    ),
    "watch": Entry(
        "Listen as a client of an account.",
        "tidings.check.watch_settings:WatchSettings",
        "tidings.commands.watch",
    ),
    "token": Entry(
        "Make a token, or say why one is refused.",
        "tidings.oncall.token_settings:TokenSettings",
        "tidings.commands.token",
    ),
    "config": Entry(
        "Check the settings of a command, or print an example.",
        "tidings.commands.config_settings:ConfigSettings",
        "tidings.commands.config",
    ),
}


def all_variables() -> set[str]:
    """The environment variables of all commands."""
    from tidings.ops.settings.fields import variables

    return set().union(*(variables(entry.load_settings()) for entry in COMMANDS.values()))
