"""The settings of the commands for the person on call. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from tidings.auth.client_settings import Account
from tidings.ops.settings.fields import HelpGroup, Settings
from tidings.ops.settings.secret_values import Token
from tidings.ops.settings.urls import BaseUrl
from tidings.ops.settings.values import split_list


class AskSettings(Settings):
    """Which processes are asked, and how the answer is shown."""

    help_group: ClassVar = HelpGroup(1, "Processes to ask")
    other_flags: ClassVar[Mapping[str, str]] = {"json_output": "--json"}

    admin_url: Annotated[tuple[BaseUrl, ...], BeforeValidator(split_list)] = Field(
        (), description="admin port of a process; repeatable or comma-separated (default: http://127.0.0.1:9090)"
    )
    admin_token: Token = Field(None, description="token for admin ports that are not on this machine")
    kube: str = Field("", description="Kubernetes namespace: all its Tidings pods are asked, through kubectl")
    json_output: bool = Field(False, description="print one JSON document instead of text")
    timeout_seconds: float = Field(10.0, ge=0.1, le=3_600, description="how long a process may take to answer")


class StatusSettings(AskSettings):
    """Show every process: version, readiness, broker, lag, and what is wrong.

    The exit code is 0 when nothing is wrong, else 1.
    """


class ShardsSettings(AskSettings):
    """Show the shards that gateways read: whether each feed is live, and how late it is.

    The exit code is 0 when all feeds are live, else 1.
    """


class ConnectionsSettings(AskSettings):
    """Show the client connections: how many there are, or those of one account."""

    help_group: ClassVar = HelpGroup(0, "Which connections")

    account: Account | None = Field(None, description="show the connections of this account")


class ExplainSettings(AskSettings):
    """Explain what the clients of an account received, when, and why not.

    The exit code is 0 when every client is subscribed and up to date, else 1.
    """

    help_group: ClassVar = HelpGroup(0, "What to explain")
    arguments: ClassVar[tuple[str, ...]] = ("account",)

    account: Account = Field(description="account to explain")
    seconds: int = Field(3_600, ge=0, le=86_400, description="how far back the log is read; 0: the log is not read")


class DisconnectSettings(AskSettings):
    """Close all connections of an account. Its clients may connect again with a valid token."""

    help_group: ClassVar = HelpGroup(0, "Account to disconnect")
    arguments: ClassVar[tuple[str, ...]] = ("account",)

    account: Account = Field(description="account whose connections are closed")
    code: Literal["1008", "1012"] = Field(
        "1008", description="WebSocket close code; 1008: clients need a new token, 1012: clients reconnect at once"
    )
