"""`tidings disconnect`: how many connections each gateway has closed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tidings.oncall.answers import Answer, Report, answered, silent
from tidings.ops.printable import plain


def report(answers: Sequence[Answer]) -> Report:
    """What gateways say that were asked to disconnect an account."""
    closed = {name: document["disconnected"] for name, document in answered(answers)}
    faults = silent(answers)
    lines = [*(f"{name}: {count} connection{'' if count == 1 else 's'} closed" for name, count in closed.items())]
    text = "".join(f"{plain(line)}\n" for line in (*lines, *faults))
    return Report(text, {"disconnected": closed, "faults": faults}, not faults)
