"""`python -m monitoring` writes what the chart ships below charts/tidings/files: dashboards, alerts and conditions."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard as Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.alerts import conditions, rule_file
from monitoring.dashboards import broker, gateway, overview, publisher

FILES = Path(__file__).resolve().parent.parent / "charts" / "tidings" / "files"
HEADER = "# Written by `make dashboards` from monitoring/alerts.py.\n"


def generated() -> dict[str, str]:
    """The text of every file, by its path below `FILES`."""
    dashboards = [_numbered(module.build()) for module in (overview, gateway, publisher, broker)]
    files = {
        f"dashboards/{dashboard.uid}.json": json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for dashboard in dashboards
    }
    rules = {"rules.yaml": rule_file(), "conditions.yaml": conditions()}
    return files | {name: HEADER + _yaml(content) for name, content in rules.items()}


def _yaml(content: object) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True))


def _numbered(builder: Builder) -> Dashboard:
    """With ids of panels, which links to them need to hold."""
    dashboard = builder.build()
    for number, panel in enumerate(dashboard.panels or [], 1):
        panel.id_val = number
    return dashboard


def main() -> None:
    """Write them, and remove what is not made any more."""
    files = generated()
    for path in (*FILES.glob("dashboards/*.json"), *FILES.glob("*.yaml")):
        if str(path.relative_to(FILES)) not in files:
            path.unlink()
    for name, text in files.items():
        path = FILES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
