"""The documentation against the code, where it can be compared."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from tidings.commands import table
from tidings.ops.settings.common import parse
from tidings.ops.settings.environment import ENV_PREFIX
from tidings.ops.settings.fields import Settings, called, is_secret
from tidings.wire import cloudevents, cursor
from tidings.wire.shard import DEFAULT_SHARDS, shard_of

ROOT = Path(__file__).resolve().parents[2]
COMMANDS: dict[str, type[Settings]] = {name: entry.load_settings() for name, entry in table.COMMANDS.items()}


def documented(text: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Command -> variable -> (flag, default), from the tables below headings that name commands in backticks."""
    rows: dict[str, dict[str, tuple[str, str]]] = {name: {} for name in COMMANDS}
    commands: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            commands = [name for name in re.findall(r"`([\w-]+)`", line) if name in COMMANDS]
        elif line.startswith("| ") and f"`{ENV_PREFIX}" in line:
            flag, variable, default, _ = (cell.strip().strip("`") for cell in line.strip("|").split("|"))
            for command in commands:
                assert variable not in rows[command], f"{variable} of {command} is documented twice"
                rows[command][variable] = (flag, default)
    return rows


def expected(settings: type[Settings]) -> dict[str, tuple[str, str]]:
    return {
        f"{ENV_PREFIX}{name.upper()}": (
            "-" if is_secret(settings, name) else called(settings, name),
            shown(field),
        )
        for name, field in settings.model_fields.items()
    }


def shown(field: FieldInfo) -> str:
    """A default as the tables write it."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=False)
    if default is None or default in ((), ""):
        return "-"
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_is_documented_with_its_default(command: str) -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert documented(text)[command] == expected(COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_the_flags_that_are_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(COMMANDS[command], command, ["--help"])
    options = re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)
    flags = [flag for flag, _ in expected(COMMANDS[command]).values() if flag.startswith("--")]
    assert sorted(options) == sorted(flags)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_setting(command: str) -> None:
    unexplained = [name for name, field in COMMANDS[command].model_fields.items() if not field.description]
    assert unexplained == []


NO_SETTINGS = {"TIDINGS_BUS_PASSWORD", "TIDINGS_GATEWAY_PORT", "TIDINGS_SERVICE_HOST", "TIDINGS_MAX_CONECTIONS"}
"""Variables that are written of because they are none: the compose file's, Kubernetes's, and one that is misspelt."""


def written_variables() -> list[tuple[str, str]]:
    """TIDINGS_* variables in documentation and deployment files: (file, variable)."""
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("charts/*/README.md"),
        *ROOT.glob("deploy/*/README.md"),
        *ROOT.glob("examples/README.md"),
        *ROOT.glob("docker/*"),
    ]
    found = {(page.name, name) for page in pages for name in re.findall(rf"{ENV_PREFIX}[A-Z_]+\b", page.read_text())}
    return sorted((page, name) for page, name in found if name not in NO_SETTINGS)


@pytest.mark.parametrize(("page", "variable"), written_variables())
def test_variables_that_are_written_of_exist(page: str, variable: str) -> None:
    assert any(variable in expected(settings) for settings in COMMANDS.values())


def test_image_and_compose_file_are_of_this_version() -> None:
    image = re.findall(r"^ARG VERSION=(.*)$", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    composed = re.findall(r"image: tidings:(.*)$", (ROOT / "docker" / "compose.yaml").read_text(), re.MULTILINE)
    assert set(image) == set(composed) == {version("tidings")}


def example_events() -> list[str]:
    pages = (ROOT / "README.md", ROOT / "docs" / "reference" / "http.md")
    return [example for page in pages for example in re.findall(r"{\s*\"specversion\"[^`']*}", page.read_text())]


def test_example_events_are_taken() -> None:
    examples = example_events()
    assert len(examples) == 3
    for example in examples:
        (change,) = cloudevents.parse([("content-type", cloudevents.STRUCTURED)], example.encode(), 0.0)
        assert change.account == "alice"


def test_the_example_of_a_cursor_is_one() -> None:
    (example,) = re.findall(r'"pushState":"(\w{4,})"', (ROOT / "docs" / "reference" / "delivery.md").read_text())
    shards, positions = cursor.decode(example)
    assert shards == DEFAULT_SHARDS
    assert set(positions) == {shard_of("alice", DEFAULT_SHARDS)}


def links() -> list[tuple[Path, str]]:
    """Relative links of every Markdown file: (file, target)."""
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("charts/*/README.md"),
        *ROOT.glob("deploy/*/README.md"),
        *ROOT.glob("examples/README.md"),
        *ROOT.glob("integrations/*/README.md"),
        ROOT / "clients/js/README.md",
    ]
    found = [(page, target) for page in pages for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    return [(page, target) for page, target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda value: getattr(value, "name", value))
def test_links_lead_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    assert file.exists()
    assert not anchor or anchor in anchors(file)
