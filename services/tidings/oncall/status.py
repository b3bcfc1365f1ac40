"""`tidings status`: every process in a row, then what is wrong in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tidings.oncall.answers import Answer, Document, Report, answered, silent
from tidings.oncall.shards import shards_of
from tidings.oncall.table import seconds, table
from tidings.ops.printable import plain

HEADS: Final = ("PROCESS", "COMMAND", "VERSION", "READY", "BROKER", "CONNECTIONS", "LAG")
RUNBOOKS: Final = "\nThe runbooks are at /debug/runbooks of every admin port, and in docs/runbooks.\n"


def report(answers: Sequence[Answer]) -> Report:
    """What `/debug/vars` of all processes says."""
    rows = [_row(name, document) for name, document in answered(answers)]
    wrong = [*silent(answers), *(each for name, document in answered(answers) for each in _wrong(name, document))]
    text = table(HEADS, [tuple(row.values()) for row in rows]) if rows else ""
    if wrong:
        text += "".join(f"\n{plain(line)}" for line in wrong) + "\n"
    if any("runbook" in line for line in wrong):
        text += RUNBOOKS
    return Report(text, {"processes": rows, "wrong": wrong}, not wrong)


def _row(name: str, document: Document) -> dict[str, Any]:
    metrics: Document = document["metrics"]
    command, _, version = next(iter(metrics["tidings_build_info"]), ",").partition(",")
    lags = [shard["lag_seconds"] for shard in shards_of(document).values() if shard["lag_seconds"] is not None]
    return {
        "process": name,
        "command": command,
        "version": version,
        "ready": "yes" if document["state"]["ready"] else "no",
        "broker": _broker(metrics),
        "connections": metrics.get("tidings_sockets_open"),
        "lag": seconds(max(lags, default=None)),
    }


def _broker(metrics: Document) -> str | None:
    connected: Mapping[str, float] | None = metrics.get("tidings_bus_connected")
    if connected is None:
        return None
    return "up" if all(connected.values()) else "away"


def _wrong(name: str, document: Document) -> Iterator[str]:
    state = document["state"]
    if not state["alive"]:
        yield f"{name}: the main loop does not run (runbook TidingsLoopStuck)"
    for part, why in state["unready"].items():
        yield f"{name}: not ready: {part}: {why}"
    for trouble in state["troubles"]:
        yield f"{name}: {trouble['what']}: {trouble['why']} (runbook {trouble['runbook']})"
