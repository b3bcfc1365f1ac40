"""The publisher's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import CliSuppress, SettingsConfigDict

from tidings.ops.settings import BusSettings, OpsSettings


class PublisherSettings(OpsSettings, BusSettings):
    """Take changes from mail storages: over HTTP at /v1/changes, and from Maildirs that are watched."""

    # Alone, the publisher has one port; beside a gateway it needs a name of its own.
    model_config = SettingsConfigDict(cli_shortcuts={"ingest-port": "port"})

    host: str = Field("127.0.0.1", description="address that storages connect to")
    ingest_port: int = Field(8081, ge=0, le=65535, description="port that storages connect to; 0 for any free one")
    admin_port: int = Field(9190, ge=0, le=65535, description="admin port; 0 for any free one")
    probe_port: int = Field(9191, ge=0, le=65535, description="port for probes and metrics; 0 for any free one")
    maildir: Path | None = Field(None, description="directory with one Maildir per account, to be watched")
    state_dir: Path = Field(
        Path("var/state"),
        description="directory of the spool and of what was announced of the Maildirs; keep it across restarts",
    )
    spool_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="changes kept in --state-dir while the log outside of this process takes none; 0: none are added",
    )
    ingest_tokens: CliSuppress[SecretStr | None] = Field(
        None, description="comma-separated tokens, one of which a storage must present; from the environment only"
    )
    insecure: bool = Field(False, description="allow a listener without authentication off loopback")
