"""The settings of `tidings up`, which are those of the services in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from tidings.gateway.settings import GatewaySettings
from tidings.ops.settings.values import Port
from tidings.publisher.settings import PublisherSettings


class UpSettings(PublisherSettings, GatewaySettings):
    """Run gateway, webmail and publisher in one process. The log is in memory, unless a broker is set."""

    # The publisher's short name for its port is the gateway's here.
    other_flags: ClassVar[Mapping[str, str]] = {}

    host: str = Field("127.0.0.1", description="address of gateway and webmail, and of ingest")
    maildir: Path = Field(Path("var/mail"), description="directory with one Maildir per account, watched and shown")
    port: Port = Field(8080, description="port of gateway and webmail; 0 for any free one")
    admin_port: Port = Field(9090, description="admin port; 0 for any free one")
    probe_port: Port = Field(9091, description="port for probes and metrics; 0 for any free one")
    # One process on a terminal: nobody sends clients anywhere else.
    drain_delay_seconds: float = Field(
        0.0, ge=0, le=300, description="after SIGTERM, seconds to serve clients as before while not ready"
    )
