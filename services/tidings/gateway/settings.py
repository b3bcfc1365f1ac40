"""The gateway's settings."""

from __future__ import annotations

from pydantic import Field

from tidings.ops.settings import AuthSettings, BusSettings, OpsSettings


class GatewaySettings(OpsSettings, BusSettings, AuthSettings):
    """Push changes to browsers: JMAP over WebSocket at /jmap/ws, the session resource at /.well-known/jmap."""

    host: str = Field("127.0.0.1", description="address that clients connect to")
    port: int = Field(8080, ge=0, le=65535, description="port that clients connect to; 0 for any free one")
    admin_port: int = Field(9090, ge=0, le=65535, description="admin port, on loopback only")
    probe_port: int = Field(9091, ge=0, le=65535, description="port for probes and metrics")
    coalesce_ms: int = Field(
        100,
        ge=0,
        le=60_000,
        description="a client is pushed to at most once in this many milliseconds; 0 pushes every change",
    )
    public_url: str = Field(
        "",
        pattern=r"^$|^https?://[^/\s]+$",
        description="URL of this gateway as clients see it, such as https://mail.example; "
        "empty: taken from each request's Host",
    )
