"""The webmail's settings."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from tidings.auth.settings import AuthSettings
from tidings.ops.settings.common import OpsSettings
from tidings.ops.settings.fields import HelpGroup
from tidings.ops.settings.secret_values import Token
from tidings.ops.settings.urls import BaseUrl
from tidings.ops.settings.values import Port


class WebmailSettings(OpsSettings, AuthSettings):
    """Serve a small mail web client that shows Maildirs, live through a gateway."""

    help_group: ClassVar = HelpGroup(0, "Webmail")

    host: str = Field("127.0.0.1", description="address that browsers connect to, or unix:PATH")
    port: Port = Field(8082, description="port that browsers connect to; 0 for any free one")
    admin_port: Port = Field(9290, description="admin port; 0 for any free one")
    probe_port: Port = Field(9291, description="port for probes and metrics; 0 for any free one")
    maildir: Path = Field(Path("var/mail"), description="directory with one Maildir per account")
    gateway_url: BaseUrl = Field("http://127.0.0.1:8080", description="URL of the gateway as browsers reach it")
    ingest_url: BaseUrl | None = Field(
        None,
        description="URL of a publisher to tell of this webmail's own changes; needed if no Maildir source sees them "
        "(inotify does not see what another machine writes to NFS)",
    )
    ingest_token: Token = Field(None, description="token for that publisher")
