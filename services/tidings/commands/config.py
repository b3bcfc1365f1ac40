"""`tidings config`: check the variables of a command, or print an example of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

from tidings.commands.config_settings import ConfigSettings
from tidings.commands.table import COMMANDS
from tidings.ops.settings.fields import Settings, build, is_secret, variable


def run(settings: ConfigSettings) -> int:
    """Check or print. Raises SettingsError for what the command would refuse."""
    model = COMMANDS[settings.command].load_settings()
    lines = _effective(model, os.environ) if settings.action == "check" else _example(model)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _effective(model: type[Settings], environ: Mapping[str, str]) -> Iterator[str]:
    """The values that the command would run with; secrets are not shown. Raises SettingsError."""
    values = build(model, {}, environ)
    for name in model.model_fields:
        value = getattr(values, name)
        shown = ("(set)" if value else "(not set)") if is_secret(model, name) else _shown(value)
        origin = "" if variable(name) in environ else "  # default"
        yield f"{variable(name)}={shown}{origin}"


def _example(model: type[Settings]) -> Iterator[str]:
    """A file of variables: each commented out, with what it means and its default."""
    for name, field in model.model_fields.items():
        yield f"# {field.description}"
        default = "" if field.is_required() or is_secret(model, name) else _shown(field.default)
        yield f"# {variable(name)}={default}"
        yield ""


def _shown(value: object) -> str:
    if value is None or value is False:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
