"""`python -m monitoring` writes what the chart ships: charts/tidings/files/{dashboards/*.json,rules.yaml}."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard as Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.alerts import rule_file
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
    rules = yaml.safe_dump(rule_file(), sort_keys=False, width=120, allow_unicode=True)
    return {**files, "rules.yaml": HEADER + rules}


def _numbered(builder: Builder) -> Dashboard:
    """With ids of panels, which links to them need to hold."""
    dashboard = builder.build()
    for number, panel in enumerate(dashboard.panels or [], 1):
        panel.id_val = number
    return dashboard


def main() -> None:
    """Write them, and remove what is not made any more."""
    files = generated()
    for path in (*FILES.glob("dashboards/*.json"), FILES / "rules.yaml"):
        if str(path.relative_to(FILES)) not in files:
            path.unlink()
    for name, text in files.items():
        path = FILES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
