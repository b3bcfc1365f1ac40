from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.waiting import patient
from tidings.cli import PIPE_EXIT, USAGE_EXIT, main, usage
from tidings.commands.table import COMMANDS

PYDANTIC = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection"}
NOBODY = ("--bus", "amqp://guest:guest@127.0.0.1:1/", "--log-format", "json")
OF_SETTINGS = {
    "bus.memory",
    "gateway.entrance.upstream_session",
    "gateway.formats.proxying",
    "gateway.upstream.http",
    "gateway.watching.change_traces",
}
"""What a gateway loads only if its settings need it."""
ANY_PORTS = ("--admin-port", "0", "--probe-port", "0")
BARE = {name: value for name, value in os.environ.items() if not name.upper().startswith("TIDINGS_")}


@pytest.mark.parametrize("name", ["redis", ""])
def test_a_command_that_there_is_not_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == USAGE_EXIT
    assert capsys.readouterr() == ("", f"tidings: there is no command {name!r} (see tidings --help)\n")


@pytest.mark.parametrize("arguments", [["gatway", "--port", "1"], ["help", "gatway"]])
def test_a_command_that_was_meant_is_proposed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == USAGE_EXIT
    said = "tidings: there is no command 'gatway': did you mean gateway? (see tidings --help)\n"
    assert capsys.readouterr() == ("", said)


def test_a_flag_that_was_meant_is_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "--prot", "1"]) == USAGE_EXIT
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    assert said.startswith("tidings gateway: there is no flag --prot: did you mean --port")


def test_a_flag_in_front_of_the_command_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "1", "gateway"]) == USAGE_EXIT
    assert capsys.readouterr() == ("", "tidings: there is no flag --port (see tidings --help)\n")


def test_without_a_command_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == USAGE_EXIT
    assert capsys.readouterr() == ("", usage())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_the_usage_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr() == (usage(), "")
    assert all(f"\n  {name} " in usage() for name in (*COMMANDS, "help"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_can_be_asked_for_in_two_ways(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", command]) == 0
    asked = capsys.readouterr()
    assert main([command, "--help"]) == 0
    assert capsys.readouterr() == asked
    words = "".join(f"{name.upper()} " for name in COMMANDS[command].load_settings().arguments)
    assert asked.out.startswith(f"usage: tidings {command} {words}[FLAGS]\n")


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    out, said = capsys.readouterr()
    assert out.startswith("tidings 0.")
    assert said == ""


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidings", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**BARE, **environ}, timeout=patient(60)
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TIDINGS_MAX_CONECTIONS", "is not a setting of Tidings: did you mean TIDINGS_MAX_CONNECTIONS?"),
        ("tidings_port", "is not a setting of Tidings: did you mean TIDINGS_PORT?"),
        ("TIDINGS_GATEWAY_ULR", "is not a setting of Tidings: did you mean TIDINGS_GATEWAY_URL?"),
        ("TIDINGS_XYZZY", "is not a setting of Tidings (variables that begin with TIDINGS_ are its settings"),
    ],
)
def test_a_variable_that_nobody_reads_is_refused(name: str, said: str) -> None:
    done = run("gateway", **{name: "5"})
    assert done.returncode == USAGE_EXIT
    assert done.stderr.startswith(f"tidings gateway: {name} {said}")
    assert done.stderr.count("\n") == 1


def test_variables_of_others_are_told_and_not_read() -> None:
    links = {"TIDINGS_GATEWAY_PORT": "tcp://10.0.0.1:80", "TIDINGS_PORT": "tcp://10.0.0.1:80"}
    # It ends where it would listen, which is after that.
    done = run("publisher", "--host", "192.0.2.1", TIDINGS_ACCOUNTS="5", TIDINGS_LOG_FORMAT="json", **links)
    warned, told, *_ = done.stderr.splitlines()
    assert '"level": "warning"' in warned
    assert "TIDINGS_GATEWAY_PORT (the nearest setting is TIDINGS_GATEWAY_URL)" in warned
    assert "TIDINGS_PORT" in warned
    assert "TIDINGS_ACCOUNTS" not in warned
    assert '"level": "info"' in told
    assert '"variables": ["TIDINGS_ACCOUNTS"]' in told
    assert "TIDINGS_PORT" not in done.stderr.splitlines()[-1]


def test_a_check_prints_the_warning() -> None:
    done = run("check", "--gateway-url", "http://127.0.0.1:1", "--ingest-url", "http://127.0.0.1:1", **LINK)
    assert done.stderr.startswith("not read, since Kubernetes sets them for Services: TIDINGS_SERVICE_HOST")


LINK = {"TIDINGS_SERVICE_HOST": "10.0.0.1"}


def loaded(*arguments: str) -> set[str]:
    """The modules that `python -m tidings` imports until it ends or serves, beside those that any Python does."""
    command = [sys.executable, "-X", "importtime", "-m", "tidings", *arguments]
    names: set[str] = set()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=BARE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("import time:"):
                names.add(line.rpartition("|")[2].strip())
            elif '"started"' in line:
                break
        process.terminate()
        process.communicate(timeout=patient(60))
    assert "tidings.cli" in names
    return names


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in ("tidings", "asyncio_pprof")}


def foreign(names: set[str]) -> set[str]:
    """Distributions of others, as far as these are known by the name of their module."""
    known = {module for module, distributions in packages_distributions().items() if distributions != ["tidings"]}
    return {name.split(".")[0] for name in names} & known


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["--version"]])
def test_the_list_of_commands_imports_no_command(arguments: list[str]) -> None:
    names = loaded(*arguments)
    assert ours(names) == {"tidings", "tidings.cli", "tidings.errors", "tidings.commands", "tidings.commands.table"}
    assert foreign(names) == {"click"}
    assert "asyncio" not in names


@pytest.mark.parametrize("arguments", [["gateway", "--help"], ["up", "--nonsense"], ["check", "--rate", "x"]])
def test_help_and_a_bad_flag_import_settings_and_no_more(arguments: list[str]) -> None:
    names = loaded(*arguments)
    assert not {name for name in ours(names) if name.endswith((".service", ".app"))}
    assert "asyncio" not in names
    assert foreign(names) - {"typing_extensions"} <= {"click", "msgspec", *PYDANTIC}


@pytest.mark.parametrize(
    ("command", "flags", "unused"),
    [
        ("gateway", ("--port", "0", *NOBODY), {"publisher", "webmail", "check", "ops.process.workers", *OF_SETTINGS}),
        ("publisher", ("--ingest-port", "0", *NOBODY), {"gateway", "webmail", "check", "ops.process.workers"}),
        ("webmail", ("--port", "0", "--log-format", "json"), {"gateway", "publisher", "check", "bus"}),
    ],
)
def test_a_service_loads_itself_and_no_other(
    command: str, flags: tuple[str, ...], unused: set[str], tmp_path: Path
) -> None:
    more = {"publisher": ("--state-dir", str(tmp_path)), "webmail": ("--maildir", str(tmp_path))}
    names = loaded(command, *ANY_PORTS, *flags, *more.get(command, ()))
    assert f"tidings.{command}.service" in names
    assert not {f"tidings.{room}" for room in unused} & names


def test_a_gateway_loads_what_its_settings_need() -> None:
    """Each of these is megabytes in every gateway: for the ingest, for public keys, for asking others."""
    names = foreign(loaded("gateway", "--port", "0", *ANY_PORTS, *NOBODY))
    assert names >= {"aio_pika", "starlette", "uvicorn", "pydantic"}
    assert not names & {
        "fastapi",
        "jwt",
        "cryptography",
        "httpx2",
        "psycopg",
        "imapclient",
        "asyncinotify",
        "websockets",
        "opentelemetry",
    }


def test_a_gateway_that_traces_loads_what_sends_spans() -> None:
    endpoint = ("--tracing-endpoint", "http://127.0.0.1:1")
    assert "opentelemetry" in foreign(loaded("gateway", "--port", "0", *ANY_PORTS, *NOBODY, *endpoint))


@pytest.mark.parametrize("command", [("config", "example", "gateway"), ("postgres-schema",)])
def test_output_that_nobody_reads_any_more_is_no_fault(command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "tidings", *command],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=BARE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (PIPE_EXIT, "")
