"""The settings of `tidings watch`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from tidings.auth.client_settings import Account, ClientSettings
from tidings.ops.settings.fields import HelpGroup
from tidings.ops.settings.urls import BaseUrl
from tidings.ops.settings.values import split_list, zero_or_at_least


class WatchSettings(ClientSettings):
    """Listen as a client of an account, and print a line for each StateChange."""

    help_group: ClassVar = HelpGroup(0, "What to watch")
    arguments: ClassVar[tuple[str, ...]] = ("account",)

    account: Account = Field(description="account to watch")
    gateway_url: BaseUrl = Field("http://127.0.0.1:8080", description="gateway to listen to")
    types: Annotated[tuple[str, ...], BeforeValidator(split_list)] = Field(
        (), description="data types to receive; repeatable or comma-separated (default: all)"
    )
    transport: Literal["websocket", "eventsource", "poll"] = Field("websocket", description="how to listen")
    seconds: Annotated[float, zero_or_at_least(0.1)] = Field(
        0.0, ge=0, le=604_800, description="how long to watch; 0: until Ctrl+C"
    )
