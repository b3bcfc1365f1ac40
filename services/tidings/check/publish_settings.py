"""The settings of `tidings publish`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from tidings.auth.client_settings import Account
from tidings.check.resync_settings import IngestSettings
from tidings.ops.settings.fields import HelpGroup
from tidings.ops.settings.values import split_list


class PublishSettings(IngestSettings):
    """Publish one change of an account, as a mail storage does."""

    help_group: ClassVar = HelpGroup(0, "What to publish")
    arguments: ClassVar[tuple[str, ...]] = ("account",)

    account: Account = Field(description="account that has changed")
    types: Annotated[tuple[str, ...], BeforeValidator(split_list)] = Field(
        ("Email", "Mailbox"), description="data types that have changed; repeatable or comma-separated"
    )
    state: str | None = Field(None, description="their new state; if not set, a new state is made up")
