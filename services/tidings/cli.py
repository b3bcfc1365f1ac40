"""The command line: which command, and with which settings. It imports what a command needs when it is known."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import click

from tidings.commands.table import COMMANDS, all_variables
from tidings.errors import SettingsError

USAGE_EXIT: Final = 2
PIPE_EXIT: Final = 141
"""What a shell says of a program that SIGPIPE has ended."""
_HELP: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}


class Tidings(click.Group):
    """The group of all commands. What it returns is which command to run, with which flags."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of their importance."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, made from its settings."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        from tidings.ops.settings.flags import Command

        return Command(COMMANDS[cmd_name].load_settings(), cmd_name, lambda flags: (cmd_name, flags))

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "COMMAND [FLAGS]", "usage: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What each command does, without importing any; then the flags that come without one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help or "") for name, command in self.commands.items()])
        with formatter.section("Flags"):
            formatter.write_dl([("-V, --version", "show the version and exit"), ("-h, --help", "show this and exit")])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text("`tidings COMMAND --help` lists the flags of a command.")


def _show_help(command: str | None) -> None:
    """Show the help of a command."""
    group = click.get_current_context().find_root()
    root = group.command
    assert isinstance(root, Tidings)  # noqa: S101 - who else
    if command is None:
        click.echo(group.get_help())
        return
    found = root.get_command(group, command)
    if found is None:
        raise click.exceptions.NoSuchCommand(command, possibilities=root.commands, ctx=group)
    click.echo(found.get_help(click.Context(found, group, command, **found.context_settings)))


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        click.echo(f"tidings {version('tidings')}")
        ctx.exit()


def _root() -> Tidings:
    version = click.Option(["-V", "--version"], is_flag=True, is_eager=True, expose_value=False, callback=_show_version)
    commands = {name: click.Command(name, help=entry.does) for name, entry in COMMANDS.items()}
    commands["help"] = click.Command(
        "help",
        callback=_show_help,
        params=[click.Argument(["command"], required=False)],
        help="Show the help of a command.",
        context_settings=_HELP,
    )
    return Tidings(
        "tidings",
        commands=commands,
        params=[version],
        context_settings=_HELP,
        help="Push notifications for mail web clients.",
    )


def usage() -> str:
    """What `tidings --help` prints."""
    root = _root()
    return root.get_help(click.Context(root, info_name="tidings", **_HELP)) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code.

    0 after a clean stop, 1 for a check that found something wrong, 2 for what the operator has to change, 141 when
    nobody reads the output any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        sys.stderr.write(usage())
        return USAGE_EXIT
    prog = f"tidings {arguments[0]}" if arguments[0] in COMMANDS else "tidings"
    try:
        chosen = _root().main(arguments, "tidings", standalone_mode=False)
        # Not in there, where click has ways of its own with signals and errors.
        return _run(*chosen) if isinstance(chosen, tuple) else 0
    except click.UsageError as error:
        from tidings.ops.settings.flags import fault

        sys.stderr.write(f"{prog}: {fault(error, prog)}\n")
    except SettingsError as error:
        sys.stderr.write(f"{prog}: {error}\n")
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        # The interpreter flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_EXIT
    return USAGE_EXIT


def _reader_is_gone() -> bool:
    """Whether nobody reads the output any more, as in `tidings config example gateway | head -1`."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return bool(output.poll(0))


def _run(name: str, flags: Mapping[str, Any]) -> int:
    """Run a command with these flags, and with what of the environment is its own."""
    from tidings.ops.settings.environment import sort
    from tidings.ops.settings.fields import build, variables

    entry = COMMANDS[name]
    model = entry.load_settings()
    found = sort(os.environ, variables(model), all_variables)
    if found.unknown:
        raise SettingsError(_refusal(found.unknown, variables(model)))
    settings = build(model, flags, found.given)
    run = entry.load()
    if found.links or found.unused:
        from tidings.commands.variables import tell

        tell(found, settings, all_variables())
    code = run(settings)
    # Here, where it is known what to do when nobody reads it.
    sys.stdout.flush()
    return code


def _refusal(unknown: Sequence[str], own: Collection[str]) -> str:
    from tidings.ops.settings.environment import nearest

    names = []
    for name in unknown:
        near = nearest(name, own) or nearest(name, all_variables())
        names.append(f"{name} is not a setting of Tidings{f': did you mean {near}?' if near else ''}")
    return f"{'; '.join(names)} (variables that begin with TIDINGS_ are its settings; unset others)"
