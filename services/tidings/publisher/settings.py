"""The publisher's settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from tidings.bus.settings import BusSettings
from tidings.ops.settings.fields import HelpGroup
from tidings.ops.settings.secret_values import Token, Tokens
from tidings.ops.settings.urls import ImapUrl, PostgresUrl
from tidings.ops.settings.values import Port, zero_or_at_least
from tidings.ops.tracing.settings import TracingSettings

MIN_SPOOL_BYTES: Final = 4096
"""The least that one batch fits into."""
MAX_SPOOL_BYTES: Final = 2**50


class PublisherSettings(TracingSettings, BusSettings):
    """Accept changes from mail storages at /v1/changes, and watch storages."""

    help_group: ClassVar = HelpGroup(1, "Publisher")
    # Alone, the publisher has one port; beside a gateway it needs a name of its own.
    other_flags: ClassVar[Mapping[str, str]] = {"ingest_port": "--port"}

    host: str = Field("127.0.0.1", description="address that storages connect to, or unix:PATH")
    ingest_port: Port = Field(8081, description="port that storages connect to; 0 for any free one")
    admin_port: Port = Field(9190, description="admin port; 0 for any free one")
    probe_port: Port = Field(9191, description="port for probes and metrics; 0 for any free one")
    maildir: Path | None = Field(None, description="directory with one Maildir per account, to watch")
    postgres_url: PostgresUrl | None = Field(
        None, description="postgresql://... of a database with the outbox that `tidings postgres-schema` prints"
    )
    imap_url: ImapUrl | None = Field(
        None, description="IMAP server to listen to: imaps://HOST[:PORT], or imap://HOST[:PORT] with STARTTLS"
    )
    imap_accounts: Path | None = Field(
        None, description="file of mailboxes to listen to, and their credentials; read again when it changes"
    )
    imap_poll_seconds: float = Field(
        60.0,
        ge=1,
        le=1_500,
        description="how often all mailboxes of an account are compared; finds what the IMAP server does not report",
    )
    imap_connects_per_second: float = Field(
        50.0, ge=0.1, le=10_000, description="new connections to the IMAP server in a second, at most 20 at once"
    )
    imap_max_connections: int = Field(
        1_000, ge=1, le=100_000, description="accounts that --imap-accounts may name; every account has a connection"
    )
    journal_dir: Path | None = Field(
        None, description="directory of a journal, where programs beside a mail server keep changes"
    )
    state_dir: Path = Field(
        Path("var/state"),
        description="directory of the spool, and of what is known of each Maildir and IMAP account; keep it across "
        "restarts",
    )
    spool_bytes: Annotated[int, zero_or_at_least(MIN_SPOOL_BYTES)] = Field(
        256 * 1024 * 1024,
        ge=0,
        le=MAX_SPOOL_BYTES,
        description="bytes of --state-dir that changes may take while the broker is away; 0: no change is spooled",
    )
    account_map: Path | None = Field(
        None, description="TOML file that maps logins to accounts; without it, the login is the account"
    )
    ingest_tokens: Tokens = Field(
        None, description="comma-separated tokens of 16 characters or more; every storage must present one of them"
    )
    stalwart_secret: Token = Field(
        None,
        description="signature key of Stalwart's webhook, 16 characters or more; without it, the webhook must "
        "present an ingest token",
    )
    ingest_keep_alive_seconds: int = Field(
        75,
        ge=1,
        le=3_600,
        description="how long a storage's connection may be idle; longer than storages and proxies keep idle "
        "connections",
    )
    tracing_ratio: float = Field(
        0.001,
        ge=0,
        le=1,
        description="fraction of the batches whose first change is traced although no storage asked for a trace; "
        "needs --tracing-endpoint",
    )
    insecure: bool = Field(False, description="allow a listener without authentication off loopback")

    @model_validator(mode="after")
    def _imap_is_whole(self) -> Self:
        if (self.imap_url is None) != (self.imap_accounts is None):
            raise ValueError("--imap-url and --imap-accounts need each other")
        return self
