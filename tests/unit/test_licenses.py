"""The list of licenses that `make sbom` writes beside the bill of materials."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def listed(directory: Path, *components: dict[str, Any]) -> tuple[int, list[str], str]:
    """Exit code, the table's rows, and what was complained of."""
    sbom = directory / "sbom.json"
    sbom.write_text(json.dumps({"components": components}))
    command = [sys.executable, str(ROOT / "scripts" / "licenses.py"), str(sbom)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()[2:], done.stderr


def component(name: str, *licenses: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "licenses": list(licenses)}


MIT = {"license": {"id": "MIT"}}
CLASSIFIER = {"license": {"name": "License :: OSI Approved :: BSD License"}}


def test_agreed_licenses_are_listed(tmp_path: Path) -> None:
    both = {"expression": "MIT OR Apache-2.0"}
    code, rows, complaint = listed(tmp_path, component("a", MIT, CLASSIFIER), component("b", both))
    assert (code, complaint) == (0, "")
    assert rows == ["| a | 1.0 | MIT |", "| b | 1.0 | MIT OR Apache-2.0 |"]


def test_others_and_none_are_named(tmp_path: Path) -> None:
    copyleft = component("c", {"expression": "MIT AND AGPL-3.0-only"})
    code, _, complaint = listed(tmp_path, copyleft, component("d"), component("e", CLASSIFIER))
    assert code == 1
    assert [line.split(": ", 1)[1] for line in complaint.splitlines()] == [
        "c 1.0: MIT AND AGPL-3.0-only",
        "d 1.0: no license",
        "e 1.0: License :: OSI Approved :: BSD License",
    ]


def test_what_somebody_has_read_counts_for_that_version(tmp_path: Path) -> None:
    read = {"name": "webencodings", "version": "0.6.1", "licenses": [CLASSIFIER]}
    code, rows, complaint = listed(tmp_path, read, read | {"version": "0.7.0"})
    assert (code, rows[0]) == (1, "| webencodings | 0.6.1 | BSD-3-Clause |")
    assert complaint == "Not a license that was agreed on: webencodings 0.7.0: License :: OSI Approved :: BSD License\n"
