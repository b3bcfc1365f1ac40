"""Settings that services share, and how flags and TIDINGS_* variables become frozen values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tidings.ops.budget import LEAST_LIMIT
from tidings.ops.settings import flags
from tidings.ops.settings.fields import HelpGroup, S, Settings, build, flag, variable
from tidings.ops.settings.secret_values import Token
from tidings.ops.settings.values import Port, zero_or_at_least

ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class LogSettings(Settings):
    """What whatever writes a log carries."""

    help_group: ClassVar = HelpGroup(9, "Log")

    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")


class OpsSettings(LogSettings):
    """What every service carries."""

    help_group: ClassVar = HelpGroup(8, "Admin and probe ports, profiles")

    admin_host: str = Field(
        "127.0.0.1", description="address of the admin port; another one than loopback needs TIDINGS_ADMIN_TOKEN"
    )
    admin_port: Port = Field(9090, description="admin port; 0 for any free one")
    admin_token: Token = Field(
        None, description="token of the admin port, 16 characters or more; required when --admin-host is not loopback"
    )
    heap_profile: int = Field(
        0,
        ge=0,
        le=64,
        description="frames to keep of each allocation's stack, for heap profiles; 0: allocations are not traced; "
        "1 costs much, 16 costs more",
    )
    mutex_profile: bool = Field(False, description="measure waits for locks, full queues and the thread pool")
    probe_host: str = Field("127.0.0.1", description="address for probes and metrics; any address is safe")
    probe_port: Port = Field(9091, description="port for probes and metrics; 0 for any free one")
    memory_limit_bytes: Annotated[int, zero_or_at_least(LEAST_LIMIT)] = Field(
        0,
        ge=0,
        le=2**50,
        description="memory that this command may use, with all its workers; at 80% of it, new work is "
        "refused; 0: the limit of the container, or the memory of the machine",
    )

    @model_validator(mode="after")
    def _ports_are_apart(self) -> Self:
        """Refuse one port for two listeners, which would otherwise be told as an address in use, by nobody else."""
        ports = [name for name in type(self).model_fields if name == "port" or name.endswith("_port")]
        for one, other in combinations(ports, 2):
            port = getattr(self, one)
            if port and port == getattr(self, other) and _meet(self._host_of(one), self._host_of(other)):
                raise ValueError(
                    f"{flag(one)} ({variable(one)}) and {flag(other)} ({variable(other)}) are both {port}: "
                    "each listener needs a port of its own"
                )
        return self

    def _host_of(self, port: str) -> str:
        own = f"{port.removesuffix('_port')}_host"
        host: str = getattr(self, own if own in type(self).model_fields else "host", "")
        return host


def _meet(one: str, other: str) -> bool:
    """Whether two listeners on these addresses need different ports."""
    return one == other or one in ANY_ADDRESS or other in ANY_ADDRESS


def parse(settings: type[S], prog: str, argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> S:
    """Settings from flags, then environment, then defaults. `--help` prints and raises SystemExit(0).

    Raises SettingsError, one line that names the flag, for anything that is wrong.
    """
    return build(settings, flags.given(settings, prog, argv), environ)
