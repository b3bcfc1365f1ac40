"""The webmail's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import CliSuppress

from tidings.ops.settings import BASE_URL, AuthSettings, OpsSettings


class WebmailSettings(OpsSettings, AuthSettings):
    """Serve a small mail web client that shows Maildirs, live through a gateway."""

    host: str = Field("127.0.0.1", description="address that browsers connect to")
    port: int = Field(8082, ge=0, le=65535, description="port that browsers connect to; 0 for any free one")
    admin_port: int = Field(9290, ge=0, le=65535, description="admin port; 0 for any free one")
    probe_port: int = Field(9291, ge=0, le=65535, description="port for probes and metrics; 0 for any free one")
    maildir: Path = Field(Path("var/mail"), description="directory with one Maildir per account")
    gateway_url: str = Field(
        "http://127.0.0.1:8080", pattern=BASE_URL, description="URL of the gateway as browsers reach it"
    )
    ingest_url: str | None = Field(
        None,
        pattern=BASE_URL,
        description="URL of a publisher to announce this webmail's own changes to, "
        "where no Maildir source watches the directory (inotify does not see every network file system)",
    )
    ingest_token: CliSuppress[SecretStr | None] = Field(
        None, description="token for that publisher; from the environment only"
    )
