"""Prometheus's own tool, which evaluates rules over series that a test writes down."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from monitoring.__main__ import FILES

RULES = FILES / "rules.yaml"


def promtool(*arguments: str) -> None:
    """Run it; an AssertionError has what it says."""
    executable = shutil.which("promtool")
    assert executable, "promtool is needed: install it with `apt-get install prometheus`"
    done = subprocess.run([executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def assert_firing(directory: Path, alert: str, series: Mapping[str, str], at: str, firing: int) -> None:
    """Assert how many alerts of this name fire at a time when series, in promtool's notation and by minute, are so."""
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                        "eval_time": at,
                        "exp_samples": [{"labels": "{}", "value": firing}],
                    }
                ],
            }
        ],
    }
    path = directory / "test.yaml"
    path.write_text(yaml.safe_dump(test))
    promtool("test", "rules", str(path))
