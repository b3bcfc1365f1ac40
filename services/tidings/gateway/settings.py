"""The gateway's settings."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from tidings.auth.settings import AuthSettings
from tidings.bus.settings import BusSettings
from tidings.ops.budget import LEAST_LIMIT, budget_bytes
from tidings.ops.settings.fields import HelpGroup, Settings, flag, variable
from tidings.ops.settings.urls import BaseUrlOrNone, GroupUrlOrNone
from tidings.ops.settings.values import Port, ProxyNetworks, zero_or_at_least
from tidings.ops.tracing.settings import TracingSettings
from tidings.wire.shard import MAX_SHARDS

MAX_WORKERS: Final = 256
MAX_COUNT: Final = 1_000_000_000
"""The largest bound that is one: no machine has more of anything that is counted here."""
MAX_RATE: Final = 1_000_000.0
MIN_SECONDS: Final = 0.1
"""The shortest deadline that the timers can keep."""


class LimitSettings(Settings):
    """What a gateway takes from its clients; 0 means no limit where the description says so."""

    help_group: ClassVar = HelpGroup(2, "Limits for clients")

    max_connections: int = Field(
        0,
        ge=0,
        le=MAX_COUNT,
        description="parked connections of one process; 0: 95% of the files that the process may open",
    )
    max_connections_per_account: int = Field(
        0, ge=0, le=MAX_COUNT, description="parked connections of one account; 0: no limit"
    )
    max_connections_per_address: int = Field(
        0,
        ge=0,
        le=MAX_COUNT,
        description="parked connections from one IPv4 address or IPv6 /64; up to 8 more may be open; 0: no limit",
    )
    trusted_proxy: ProxyNetworks = Field(
        (),
        description="network (CIDR) of proxies whose X-Forwarded-For is believed, or Forwarded if that is absent; "
        "repeatable or comma-separated",
    )
    max_upgrades_per_second: int = Field(
        0, ge=0, le=MAX_COUNT, description="connections that one process parks in a second; 0: no limit"
    )
    max_messages_per_second: int = Field(
        100,
        ge=0,
        le=MAX_COUNT,
        description="messages, fragments and control frames from one client in a second, and KiB in a second, on "
        "average over 10 s; 0: no limit",
    )
    max_message_bytes: int = Field(65_536, ge=1_024, le=16_777_216, description="size of a message from a client")
    window_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1_048_576,
        description="bytes of recent changes that one process keeps for clients that come back, at most half of its "
        "memory budget; older changes are read from the log",
    )
    max_head_bytes: int = Field(16_384, ge=1_024, le=65_536, description="size of a request's head")
    head_seconds: float = Field(
        10.0, ge=MIN_SECONDS, le=300, description="how long a client may take to send a request's head"
    )
    max_connection_age: Annotated[float, zero_or_at_least(1)] = Field(
        0.0,
        ge=0,
        le=604_800,
        description="seconds after which a connection is closed with 1012, so that new gateways get clients too; "
        "each connection gets 0.8 to 1 times this value; 0: never",
    )

    @model_validator(mode="after")
    def _caps_can_be_reached(self) -> Self:
        for name in ("max_connections_per_account", "max_connections_per_address"):
            cap = getattr(self, name)
            if 0 < self.max_connections < cap:
                raise ValueError(
                    f"{flag(name)} ({variable(name)}) is {cap}, and can never be reached: "
                    f"--max-connections (TIDINGS_MAX_CONNECTIONS) is {self.max_connections}"
                )
        return self


class GatewaySettings(TracingSettings, BusSettings, AuthSettings, LimitSettings):
    """Push changes to browsers: /jmap/ws, /jmap/eventsource, /jmap/changes; session at /.well-known/jmap."""

    help_group: ClassVar = HelpGroup(0, "Gateway")

    host: str = Field("127.0.0.1", description="address that clients connect to, or unix:PATH")
    port: Port = Field(8080, description="port that clients connect to; 0 for any free one")
    admin_port: Port = Field(9090, description="admin port")
    probe_port: Port = Field(9091, description="port for probes and metrics")
    coalesce_ms: int = Field(
        100,
        ge=0,
        le=60_000,
        description="a client gets at most one push in this many milliseconds; 0: every change is pushed",
    )
    drain_delay_seconds: float = Field(
        2.0,
        ge=0,
        le=300,
        description="after SIGTERM, seconds to serve clients as before while not ready; set it longer than the load "
        "balancer takes to notice",
    )
    drain_seconds: float = Field(
        20.0,
        ge=0,
        le=3_600,
        description="after that delay, seconds in which all clients are sent elsewhere; a gateway with few clients "
        "sends 50 a second; 0: all at once",
    )
    ping_seconds: float = Field(
        25.0,
        ge=MIN_SECONDS,
        le=600,
        description="interval of pings on a silent WebSocket; set it shorter than proxies and NAT keep idle "
        "connections",
    )
    resync_rate: Annotated[float, zero_or_at_least(0.001)] = Field(
        200.0,
        ge=0,
        le=MAX_RATE,
        description="clients that one process asks to resynchronise in a second; 0: no limit",
    )
    public_url: BaseUrlOrNone = Field(
        "",
        description="URL of this gateway as clients see it, such as https://mail.example; "
        "empty: taken from each request's Host",
    )
    jmap_upstream: BaseUrlOrNone = Field(
        "",
        description="URL of the JMAP server that this gateway pushes for, such as http://127.0.0.1:8008; the session "
        "comes from that server, and its push URLs lead to this gateway; empty: none",
    )
    jmap_proxy_requests: bool = Field(
        False, description="pass requests over the WebSocket on to the JMAP server, and offer the WebSocket for them"
    )
    groups: int = Field(
        1,
        ge=1,
        le=MAX_SHARDS,
        description="groups of gateways: sessions lead each client to the group that reads its primary "
        "account's shard; 1: every gateway reads all shards that have clients",
    )
    group_url: GroupUrlOrNone = Field(
        "",
        description="URL of a group's gateways as clients see it, with {group} in it, such as "
        "https://push{group}.mail.example; empty: /g/0, /g/1, ... below --public-url",
    )
    workers: int = Field(
        1, ge=1, le=MAX_WORKERS, description="processes that share the port; more than one need a log in a broker"
    )

    @model_validator(mode="after")
    def _every_group_has_something_to_read(self) -> Self:
        if self.groups > self.shards:
            raise ValueError(
                f"--groups (TIDINGS_GROUPS) is {self.groups}, and --shards (TIDINGS_SHARDS) is {self.shards}: the "
                "groups beyond that have no shard to read"
            )
        if self.group_url and self.groups == 1:
            raise ValueError("--group-url (TIDINGS_GROUP_URL) needs --groups (TIDINGS_GROUPS) of 2 or more")
        return self

    @model_validator(mode="after")
    def _one_log_for_all_workers(self) -> Self:
        if self.workers > 1 and self.bus_in_memory:
            raise ValueError(
                "--workers (TIDINGS_WORKERS): a memory:// log reaches no other worker; "
                "use one worker, or tidings gateway with --bus amqp://..."
            )
        return self

    @model_validator(mode="after")
    def _push_urls_need_a_secret(self) -> Self:
        if self.jmap_proxy_requests and not self.jmap_upstream:
            raise ValueError(
                "--jmap-proxy-requests (TIDINGS_JMAP_PROXY_REQUESTS) needs a server to pass requests on to: "
                "--jmap-upstream (TIDINGS_JMAP_UPSTREAM)"
            )
        if self.jmap_upstream and (self.auth != "jwt" or self.jwt_secret is None):
            raise ValueError(
                "--jmap-upstream (TIDINGS_JMAP_UPSTREAM) needs --auth jwt with an HS256 secret in TIDINGS_JWT_SECRET: "
                "the tokens in push URLs are made with it"
            )
        return self

    @model_validator(mode="after")
    def _everybody_is_told_before_the_end(self) -> Self:
        if 0 < self.max_connection_age <= self.coalesce_ms / 1000:
            raise ValueError(
                "--max-connection-age (TIDINGS_MAX_CONNECTION_AGE) ends a connection before --coalesce-ms "
                "(TIDINGS_COALESCE_MS) allows a second push: increase --max-connection-age"
            )
        return self

    @model_validator(mode="after")
    def _memory_suffices(self) -> Self:
        if not self.memory_limit_bytes:
            return self
        each = self.memory_limit_bytes // self.workers
        if each < LEAST_LIMIT:
            raise ValueError(
                f"--memory-limit-bytes (TIDINGS_MEMORY_LIMIT_BYTES) leaves {each} bytes to each of --workers "
                f"(TIDINGS_WORKERS), and each worker needs {LEAST_LIMIT} at least"
            )
        if self.max_message_bytes > budget_bytes(each) // 2:
            raise ValueError(
                "--max-message-bytes (TIDINGS_MAX_MESSAGE_BYTES) is more than half of the "
                f"{budget_bytes(each)} bytes that --memory-limit-bytes (TIDINGS_MEMORY_LIMIT_BYTES) lets clients "
                "make a process hold"
            )
        return self
