"""The settings of `tidings resync`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tidings.ops.settings.fields import HelpGroup, Settings
from tidings.ops.settings.secret_values import Token
from tidings.ops.settings.urls import BaseUrl
from tidings.ops.settings.values import split_list


def _some(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not urls:
        raise ValueError("must be a URL, such as http://127.0.0.1:8081")
    return urls


class IngestSettings(Settings):
    """Which publisher is told."""

    help_group: ClassVar = HelpGroup(1, "Publisher")

    ingest_url: Annotated[tuple[BaseUrl, ...], BeforeValidator(split_list), AfterValidator(_some)] = Field(
        ("http://127.0.0.1:8081",),
        description="publisher to tell; with several, the next one is used when one does not answer; repeatable or "
        "comma-separated",
    )
    ingest_token: Token = Field(None, description="token for the publisher")
    timeout_seconds: float = Field(
        30.0, ge=0.1, le=3_600, description="how long publishers may take to accept the request"
    )


class ResyncSettings(IngestSettings):
    """Ask clients of some accounts, or of all, to resynchronise: anything may have changed."""

    help_group: ClassVar = HelpGroup(0, "Clients")

    account: Annotated[tuple[str, ...], BeforeValidator(split_list)] = Field(
        (), description="account whose clients are to resynchronise; repeatable or comma-separated"
    )
    accounts_file: Path | None = Field(None, description="file with such accounts, one a line")
    everybody: bool = Field(False, description="clients of all accounts are to resynchronise")

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.everybody == bool(self.account or self.accounts_file):
            raise ValueError("give either --everybody, or accounts with --account or --accounts-file")
        return self
