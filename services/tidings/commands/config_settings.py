"""The settings of `tidings config`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from tidings.commands.table import COMMANDS
from tidings.ops.settings.fields import Settings


class ConfigSettings(Settings):
    """Check the environment variables of a command, or print all its variables with their defaults.

    `check` looks at the value of each variable, and opens no files. The command itself checks more when it starts:
    whether files and keys are there, and whether authentication, addresses and the log fit together. The exit code of
    `check` is 0 when each variable is valid, else 2.
    """

    arguments: ClassVar[tuple[str, ...]] = ("action", "command")

    action: Literal["check", "example"] = Field(
        description="check: check the variables that are set; example: print all variables"
    )
    command: str = Field(description="command whose settings are meant, such as gateway")

    @field_validator("command")
    @classmethod
    def _is_command(cls, value: str) -> str:
        if value not in COMMANDS:
            raise ValueError(f"there is no command {value!r}")
        return value
