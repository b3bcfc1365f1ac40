"""A command's flags and its --help, made from its settings. Click does the parsing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import click

from tidings.errors import SettingsError
from tidings.ops.settings.fields import HelpGroup, Settings, flag, is_secret, variable

R = TypeVar("R")
_WIDTH: Final = 100
_VALUES: Final = (
    (r"(.*_)?port", "PORT"),
    (r"(.*_)?host", "ADDRESS"),
    (r"(.*_)?(seconds|age)", "SECONDS"),
    (r".*_ms", "MILLISECONDS"),
    (r".*_bytes", "BYTES"),
    (r".*_url|bus", "URL"),
    (r".*_origin", "ORIGIN"),
    (r".*_proxy", "NETWORK"),
    (r".*_(dir|root)|maildir", "DIRECTORY"),
    (r"socket", "PATH"),
    (r"account|.*_claim", "NAME"),
    (r"rate|.*_rate|.*_per_second", "PER_SECOND"),
)
"""What --help calls a value, by the name of its setting. Other names follow from the type."""
_TYPES: Final = ((bool, ""), (int, "NUMBER"), (float, "NUMBER"), (Path, "FILE"))


class Command(click.Command):
    """A command that takes settings: `run` is called with those that are given as flags, by field."""

    def __init__(self, settings: type[Settings], name: str, run: Callable[[Mapping[str, Any]], R]) -> None:
        super().__init__(
            name,
            params=[*_arguments(settings), *_options(settings), *_traps(settings)],
            callback=lambda **flags: run({field: value for field, value in flags.items() if value not in (None, ())}),
            help=settings.__doc__,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH},
        )
        self._settings = settings

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line: the flags follow."""
        words = [name.upper() for name in self._settings.arguments]
        formatter.write_usage(ctx.command_path, " ".join([*words, "[FLAGS]"]), "usage: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The words, the flags in groups, then what only the environment gives."""
        if self._settings.arguments:
            with formatter.section("Arguments"):
                described = [(name.upper(), _described(self._settings, name)) for name in self._settings.arguments]
                formatter.write_dl(described)
        rows: dict[HelpGroup, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            row = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if row is not None and option.name in self._settings.model_fields:
                rows.setdefault(_group(self._settings, option.name), []).append(row)
        for group, listed in sorted(rows.items()):
            with formatter.section(group.title):
                formatter.write_dl(listed)
        secrets = [name for name in self._settings.model_fields if is_secret(self._settings, name)]
        if secrets:
            with formatter.section("Secrets, from the environment only: flags show in the process list"):
                described = [(variable(name), _described(self._settings, name)) for name in secrets]
                formatter.write_dl(described)
        with formatter.section("Help"):
            formatter.write_dl([("-h, --help", "show this and exit")])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """How to set what is listed without a flag."""
        formatter.write_paragraph()
        formatter.write_text("Every flag has its variable, and wins over it: --log-level is TIDINGS_LOG_LEVEL.")


def given(settings: type[Settings], prog: str, argv: Sequence[str]) -> Mapping[str, Any]:
    """The settings that are given as flags, by field. `--help` prints and raises SystemExit(0).

    Raises SettingsError, one line that names the flag.
    """
    command = Command(settings, prog, lambda flags: flags)
    try:
        flags: Mapping[str, Any] | int = command.main(list(argv), prog, standalone_mode=False)
    except click.UsageError as error:
        raise SettingsError(fault(error, prog)) from None
    if isinstance(flags, int):
        raise SystemExit(flags)
    return flags


def fault(error: click.UsageError, prog: str) -> str:
    """What is wrong with a command line of `prog`, in one line that says where there is help."""
    match error:
        case click.NoSuchOption():
            said = f"there is no flag {error.option_name}{meant(error.possibilities or ())}"
        case click.exceptions.NoSuchCommand():
            said = f"there is no command {error.command_name!r}{meant(error.possibilities or ())}"
        case _:
            said = error.format_message().rstrip(".")
            said = f"{said[:1].lower()}{said[1:]}"
    return f"{said} (see {prog} --help)"


def meant(possibilities: Sequence[str]) -> str:
    """The question after a name that there is not."""
    return f": did you mean {' or '.join(possibilities)}?" if possibilities else ""


def _arguments(settings: type[Settings]) -> Iterator[click.Argument]:
    for name in settings.arguments:
        # Not required here: the environment may give it, and the settings say what is missing.
        yield click.Argument([name], type=click.UNPROCESSED, required=False, default=None)


def _options(settings: type[Settings]) -> Iterator[click.Option]:
    names = [name for name in settings.model_fields if not is_secret(settings, name) and name not in settings.arguments]
    # The port first: it is what most people look for.
    for name in sorted(names, key=lambda name: "--port" not in _names(settings, name)):
        kind = settings.model_fields[name].annotation
        form: dict[str, Any] = (
            {"is_flag": True, "flag_value": True} if kind is bool else {"metavar": _value(name, kind)}
        )
        yield click.Option(
            [*_names(settings, name), name],
            type=click.UNPROCESSED,
            default=None,
            multiple=get_origin(kind) is tuple,
            callback=_is_no_flag,
            help=_described(settings, name) + _default(settings.model_fields[name].default),
            **form,
        )


def _traps(settings: type[Settings]) -> Iterator[click.Option]:
    """Flags that there are not, for secrets: who tries one is told why."""

    def refuse(ctx: click.Context, option: click.Parameter, value: object) -> None:
        if value is not None and option.name is not None:
            raise click.UsageError(
                f"{flag(option.name)} would show in the process list: set {variable(option.name)} instead", ctx
            )

    for name in settings.model_fields:
        if is_secret(settings, name):
            yield click.Option(
                [flag(name), name],
                type=click.UNPROCESSED,
                default=None,
                hidden=True,
                callback=refuse,
                expose_value=False,
            )


def _names(settings: type[Settings], name: str) -> list[str]:
    other = settings.other_flags.get(name)
    return [flag(name)] if other is None else [flag(name), other]


def _group(settings: type[Settings], name: str) -> HelpGroup:
    """The group of the class that brings a field in."""
    first = [kind for kind in settings.__mro__ if issubclass(kind, Settings) and name in kind.__annotations__][-1]
    return first.help_group


def _described(settings: type[Settings], name: str) -> str:
    return settings.model_fields[name].description or ""


def _default(default: object) -> str:
    if default is None or default is False or default in ((), ""):
        return ""
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f" (default: {shown})"


def _value(name: str, kind: Any) -> str:
    """What --help calls a setting's value."""
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    for pattern, called in _VALUES:
        if re.fullmatch(pattern, name):
            return called
    kinds = (kind, *get_args(kind))
    return next((called for each, called in _TYPES if each in kinds), "TEXT")


def _is_no_flag(ctx: click.Context, option: click.Parameter, value: object) -> object:
    """Refuse the next flag as the value of one whose value was forgotten."""
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, str) and each.startswith("--"):
            raise click.BadOptionUsage(option.name or "", f"{option.opts[0]} needs a value", ctx)
    return value
