"""Write each chart's values.schema.json and the table of values in its README.md from the comments of values.yaml.

Comments are those of helm-docs: `# -- text` above a key describes it. `# @schema {...}` below that adds to what its
default value says; an object that says nothing takes no members that are not there. `# @settings gateway` makes the
members those of `tidings gateway`, so that a setting which does not exist is refused and one that is new is there.
`# @alerts DIRECTORY` does so for the alerts that `make dashboards` wrote there.

    python scripts/chart_values.py           # write
    python scripts/chart_values.py --check   # exit code 1 when something would change
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tidings.gateway.settings import GatewaySettings
from tidings.ops.settings.fields import Settings, is_secret
from tidings.publisher.settings import PublisherSettings
from tidings.webmail.settings import WebmailSettings

ROOT = Path(__file__).resolve().parents[1]
CHARTS = ("charts/rabbitmq", "charts/tidings", "deploy/helm")
TABLE = re.compile(r"(?<=<!-- values: written by make charts -->\n)(.*?)(?=<!-- end of values -->)", re.DOTALL)
SETTINGS: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "publisher": PublisherSettings,
    "webmail": WebmailSettings,
}
OF_THE_CHART = {
    *("groups", "group_url"),
    *("tracing_endpoint", "tracing_ratio"),
    *("host", "port", "ingest_port", "admin_host", "admin_port", "probe_host", "probe_port", "log_format", "log_level"),
    *(
        "bus",
        "shards",
        "auth",
        "insecure",
        "jmap_upstream",
        "jmap_proxy_requests",
        "jwt_key",
        "jwks_url",
        "jwt_issuer",
        "jwt_audience",
        "jwt_account_claim",
        "maildir",
        "postgres_url",
        "imap_url",
        "imap_accounts",
        "journal_dir",
        "account_map",
        "state_dir",
        "ingest_url",
    ),
}
"""Settings that the chart decides on itself, or has values of its own for."""
TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "null": "null"}


@dataclass
class Value:
    """One key of values.yaml: its path, default, and what the comments above it say."""

    path: str
    default: str
    description: str


@dataclass
class Chart:
    """What a values.yaml says of itself."""

    lines: list[str]
    values: list[Value] = field(default_factory=list)
    undescribed: list[str] = field(default_factory=list)
    sections: set[str] = field(default_factory=set)

    def comments(self, line: int) -> tuple[str, dict[str, Any], str | None]:
        """Description, addition to the schema and settings of the key that begins in a line."""
        description: list[str] = []
        schema: dict[str, Any] = {}
        settings = None
        above = []
        while line > 0 and self.lines[line - 1].lstrip().startswith("#"):
            line -= 1
            above.append(self.lines[line].strip().removeprefix("#").strip())
        for text in reversed(above):
            if text.startswith("@schema "):
                schema = json.loads(text.removeprefix("@schema "))
            elif text.startswith("@alerts "):
                schema = alerts(ROOT / text.removeprefix("@alerts "))
            elif text.startswith("@settings "):
                settings = text.removeprefix("@settings ")
            elif text.startswith("-- "):
                description = [text.removeprefix("-- ")]
            elif description:
                description.append(text)
        return " ".join(description), schema, settings

    def section(self, node: yaml.MappingNode, prefix: str = "") -> dict[str, Any]:
        """The schema of an object. Null may take away no section in it, since templates look into all of them."""
        properties = {key.value: self.schema(key, value, f"{prefix}{key.value}") for key, value in node.value}
        sections = [name for name in properties if f"{prefix}{name}" in self.sections]
        return {"type": "object", **closed(properties), **({"required": sections} if sections else {})}

    def schema(self, key: yaml.Node, node: yaml.Node, path: str) -> dict[str, Any]:
        """The schema of one key."""
        description, addition, settings = self.comments(key.start_mark.line)
        described = {"description": description} if description else {}
        if settings is not None:
            self.values.append(Value(path, "{}", description))
            self.sections.add(path)
            return {"type": "object", **described, **closed(self.settings(settings, path))}
        if isinstance(node, yaml.MappingNode) and not addition and (node.value or not description):
            self.sections.add(path)
            return {**self.section(node, f"{path}."), **described}
        if not description and "description" not in addition:
            self.undescribed.append(path)
        elif "description" not in addition:
            default = json.dumps(yaml.SafeLoader("").construct_object(node, deep=True))
            self.values.append(Value(path, "" if default == "null" else default, description))
        return {"type": kind(node), **described, **addition}

    def settings(self, command: str, path: str) -> dict[str, Any]:
        """The schemas of a command's settings."""
        model = SETTINGS[command]
        found = {}
        for name, schema in model.model_json_schema()["properties"].items():
            if name in OF_THE_CHART or is_secret(model, name):
                continue
            first, *rest = name.split("_")
            camel = first + "".join(part.capitalize() for part in rest)
            kept = {key: value for key, value in schema.items() if key not in ("title", "default", "items")}
            if kept.get("type") == "array":
                kept = {**kept, "items": {"type": "string"}}
            # Null is for those who want to undo what another file of values says.
            if "type" in kept:
                kept["type"] = [kept["type"], "null"]
            found[camel] = kept
            self.values.append(Value(f"{path}.{camel}", "", schema["description"]))
        return found


def alerts(directory: Path) -> dict[str, Any]:
    """The schema of what values may say of alerts, by name: a threshold only where the condition has one."""
    groups = yaml.safe_load((directory / "rules.yaml").read_text())["groups"]
    named = [rule["alert"] for group in groups for rule in group["rules"]]
    bounded = yaml.safe_load((directory / "conditions.yaml").read_text())
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    given = {"enabled": {"type": "boolean"}, "for": {"type": "string", "pattern": "^[0-9]+[smhd]$"}, "labels": labels}
    kinds = {
        "|".join(name for name in named if name in bounded): {**given, "threshold": {"type": "number", "minimum": 0}},
        "|".join(name for name in named if name not in bounded): given,
    }
    patterns = {f"^({names})$": {"type": "object", **closed(members)} for names, members in kinds.items()}
    return {"additionalProperties": False, "patternProperties": patterns}


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    """The members an object may have, and no others."""
    return {"additionalProperties": False, "properties": properties}


def kind(node: yaml.Node) -> str:
    """The JSON type of a default value."""
    if isinstance(node, yaml.MappingNode):
        return "object"
    if isinstance(node, yaml.SequenceNode):
        return "array"
    return TYPES[node.tag.rpartition(":")[2]]


def read(directory: Path) -> tuple[Chart, dict[str, Any]]:
    """A chart's values and their schema."""
    text = (directory / "values.yaml").read_text()
    chart = Chart(text.splitlines())
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)  # noqa: S101 - a file of this repository
    described = chart.section(root)
    properties = described["properties"]
    for dependency in yaml.safe_load((directory / "Chart.yaml").read_text()).get("dependencies", []):
        # Helm checks a dependency's values against the schema of its own.
        own = properties.get(dependency["name"], {})
        properties[dependency["name"]] = {**own, "additionalProperties": True}
    schema = {"$schema": "https://json-schema.org/draft-07/schema#", **described}
    return chart, schema


def table(values: list[Value]) -> str:
    """The values as Markdown."""
    rows = [
        f"| `{value.path}` | {f'`{value.default}`' if value.default else ''} | {value.description} |"
        for value in values
    ]
    return "\n".join(["", "| Value | Default | Meaning |", "|---|---|---|", *rows, "", ""]).replace("\\|", "|")


def main() -> int:
    """Write or check; the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in CHARTS:
        directory = ROOT / name
        chart, schema = read(directory)
        if chart.undescribed:
            sys.exit(f"{name}/values.yaml: no description of {', '.join(chart.undescribed)}")
        readme = directory / "README.md"
        written = {
            directory / "values.schema.json": json.dumps(schema, indent=2) + "\n",
            readme: "".join(
                table(chart.values) if index == 1 else part
                for index, part in enumerate(TABLE.split(readme.read_text()))
            ),
        }
        for path, text in written.items():
            if path.exists() and path.read_text() == text:
                continue
            stale.append(path)
            if not check:
                path.write_text(text)
    if check and stale:
        sys.stderr.write(f"Out of date: {', '.join(str(path.relative_to(ROOT)) for path in stale)}. Run: make charts\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
