"""`tidings connections`: how many there are, or those of one account. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tidings.oncall.answers import Answer, Document, Report, answered, or_none, silent
from tidings.oncall.table import table
from tidings.ops.printable import plain

COUNT_HEADS: Final = ("PROCESS", "FORMAT", "CONNECTIONS")
HEADS: Final = ("GATEWAY", "CONNECTION", "FORMAT", "STATE", "TYPES", "SUBSCRIBED", "LAST TOLD", "ENDS")


def counts(answers: Sequence[Answer]) -> Report:
    """What `/debug/vars` of all processes says of connections, and which accounts are pushed to most."""
    rows = [
        (name, wire_format, number)
        for name, document in answered(answers)
        for wire_format, number in document["metrics"].get("tidings_connections_open", {}).items()
    ]
    text = or_none(table(COUNT_HEADS, rows) if rows else "", "no client is connected", answers)
    talkers = [(name, *each) for name, document in answered(answers) for each in _talkers(document)]
    if talkers:
        text += "\n" + table(("GATEWAY", "MOST PUSHED TO", "SHARE"), talkers)
    faults = silent(answers)
    text += "".join(f"{plain(line)}\n" for line in faults)
    document = {"connections": [dict(zip(("process", "format", "connections"), row, strict=True)) for row in rows]}
    return Report(text, document | {"faults": faults}, not faults)


def _talkers(document: Document) -> Iterator[tuple[str, str]]:
    told = [document, *document.get("workers", {}).values()]
    for each in told:
        for talker in each.get("talkers", ()):
            yield talker["account"], f"{talker['share']:.0%}"


def of_account(answers: Sequence[Answer]) -> Report:
    """What `/debug/accounts/{account}` of all gateways says of its connections."""
    found = [
        {"gateway": name} | connection for name, document in answered(answers) for connection in document["connections"]
    ]
    omitted = sum(document.get("connections_omitted", 0) for _, document in answered(answers))
    faults = silent(answers)
    text = or_none(table(HEADS, map(_row, found)) if found else "", "no client of this account is connected", answers)
    if omitted:
        text += f"{omitted} more are not shown\n"
    text += "".join(f"{plain(line)}\n" for line in faults)
    return Report(text, {"connections": found, "omitted": omitted, "faults": faults}, not faults)


def _row(connection: Mapping[str, Any]) -> tuple[object, ...]:
    worker = f" (worker {connection['worker']})" if "worker" in connection else ""
    ends = connection["ends_at"] and f"{connection['ends_at']} ({connection['ends_with']})"
    types = "all" if connection["types"] is None else ", ".join(connection["types"])
    return (
        f"{connection['gateway']}{worker}",
        connection["connection"],
        connection["format"],
        connection["state"],
        types,
        connection["subscribed_at"],
        connection["told_at"],
        ends,
    )
