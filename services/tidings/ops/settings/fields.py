"""What the settings of every command have in common: names, groups in --help, secrets, how they are checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from tidings.errors import SettingsError
from tidings.ops.settings.environment import ENV_PREFIX
from tidings.ops.settings.values import plain_text


class HelpGroup(NamedTuple):
    """Where --help lists the settings that a class adds. Groups are sorted by `rank`."""

    rank: int
    title: str


class Settings(BaseModel):
    """The base of every command's settings."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        # --help needs no validator, and an error about a flag neither.
        defer_build=True,
    )

    help_group: ClassVar[HelpGroup] = HelpGroup(5, "Other")
    other_flags: ClassVar[Mapping[str, str]] = {}
    """Second names of flags, by field."""
    arguments: ClassVar[tuple[str, ...]] = ()
    """Fields that are given as words behind the command, in this order, and have no flag."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain(cls, value: object, info: ValidationInfo) -> object:
        name = info.field_name
        if not isinstance(value, str) or name is None or is_secret(cls, name):
            return value
        if not value.strip() and cls.model_fields[name].default in ("", ()):
            return ""
        return plain_text(value)


S = TypeVar("S", bound=Settings)


def is_secret(settings: type[Settings], name: str) -> bool:
    """Whether a field holds a secret: taken from the environment only, since other users see flags."""
    return "SecretStr" in repr(settings.model_fields[name].annotation)


def flag(name: str) -> str:
    """The flag of a field."""
    return f"--{name.replace('_', '-')}"


def called(settings: type[Settings], name: str) -> str:
    """What a field is called where a person gives it: its flag, or the word behind the command."""
    return name.upper() if name in settings.arguments else flag(name)


def variable(name: str) -> str:
    """The environment variable of a field."""
    return f"{ENV_PREFIX}{name.upper()}"


def variables(settings: type[Settings]) -> set[str]:
    """The environment variables of a command."""
    return {variable(name) for name in settings.model_fields}


def build(settings: type[S], flags: Mapping[str, Any], environ: Mapping[str, str]) -> S:
    """Settings from flags, by field, then environment, then defaults.

    Raises SettingsError, one line that names flag and variable of everything that is wrong.
    """
    set_here = {name: environ[variable(name)] for name in settings.model_fields if variable(name) in environ}
    try:
        return settings.model_validate({**set_here, **flags})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # The first fault of each setting: the others follow from it.
        firsts = {detail["loc"][:1]: detail for detail in reversed(details)}
        faults = [_fault(settings, detail) for detail in reversed(firsts.values())]
        raise SettingsError("; ".join(faults)) from None


def _fault(settings: type[Settings], detail: ErrorDetails) -> str:
    """What is wrong with one setting. It does not repeat the value, which may hold a password."""
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0])
    said = f"{message[:1].lower()}{message[1:]}"
    if is_secret(settings, name):
        return f"{variable(name)} {said}"
    return f"{called(settings, name)} ({variable(name)}): {said}"
