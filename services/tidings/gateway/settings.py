"""The gateway's settings."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from tidings.ops.settings import BASE_URL, AuthSettings, BusSettings, OpsSettings, Settings, split_list

MAX_WORKERS: Final = 256


class LimitSettings(Settings):
    """What a gateway takes from its clients; 0 is no bound where it says so."""

    max_connections: int = Field(
        0, ge=0, description="parked connections of one process; 0: as many as it may open files, less a reserve"
    )
    max_connections_per_account: int = Field(0, ge=0, description="parked connections of one account; 0: no bound")
    max_connections_per_address: int = Field(
        0, ge=0, description="parked connections from one IPv4 address or IPv6 /64; 0: no bound"
    )
    trusted_proxy: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="network of proxies whose X-Forwarded-For is believed; repeatable or comma-separated"
    )
    max_upgrades_per_second: int = Field(
        0, ge=0, description="connections that one process parks in a second; 0: no bound"
    )
    max_messages_per_second: int = Field(
        100, ge=0, description="messages from one client, on average over 10 s; 0: no bound"
    )
    max_message_bytes: int = Field(65_536, ge=1_024, le=16_777_216, description="size of a message from a client")
    max_head_bytes: int = Field(16_384, ge=1_024, le=65_536, description="size of a request's head")
    head_seconds: float = Field(10.0, gt=0, le=300, description="how long a client has to send a request's head")
    max_connection_age: float = Field(
        0.0,
        ge=0,
        le=604_800,
        description="seconds after which a connection is closed with 1012, less up to a fifth, so that new gateways "
        "get clients too; 0: never",
    )

    @field_validator("trusted_proxy", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        return split_list(value)


class GatewaySettings(OpsSettings, BusSettings, AuthSettings, LimitSettings):
    """Push changes to browsers: /jmap/ws, /jmap/eventsource, /jmap/changes; session at /.well-known/jmap."""

    host: str = Field("127.0.0.1", description="address that clients connect to")
    port: int = Field(8080, ge=0, le=65535, description="port that clients connect to; 0 for any free one")
    admin_port: int = Field(9090, ge=0, le=65535, description="admin port")
    probe_port: int = Field(9091, ge=0, le=65535, description="port for probes and metrics")
    coalesce_ms: int = Field(
        100,
        ge=0,
        le=60_000,
        description="a client is pushed to at most once in this many milliseconds; 0 pushes every change",
    )
    drain_delay_seconds: float = Field(
        2.0,
        ge=0,
        le=300,
        description="on SIGTERM, how long to go on as before, only not ready, until nobody is sent here any more",
    )
    drain_seconds: float = Field(
        20.0,
        ge=0,
        le=3_600,
        description="over how long to send the clients elsewhere after that, at the most; few of them take less",
    )
    ping_seconds: float = Field(
        25.0,
        gt=0,
        le=600,
        description="a WebSocket is pinged this often at least; more often than what is in between forgets idle ones",
    )
    resync_rate: float = Field(
        200.0,
        ge=0,
        description="clients that one process tells to resynchronise in a second; 0: no bound",
    )
    public_url: str = Field(
        "",
        pattern=rf"^$|{BASE_URL}",
        description="URL of this gateway as clients see it, such as https://mail.example; "
        "empty: taken from each request's Host",
    )
    workers: int = Field(
        1, ge=1, le=MAX_WORKERS, description="processes that share the port; more than one need a log outside of them"
    )

    @model_validator(mode="after")
    def _one_log_for_all_workers(self) -> Self:
        if self.workers > 1 and self.bus_in_memory:
            raise ValueError(
                "--workers (TIDINGS_WORKERS): a memory:// log reaches no other worker; "
                "use one worker, or tidings gateway with --bus amqp://..."
            )
        return self
