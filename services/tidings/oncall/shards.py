"""`tidings shards`: the feeds of gateways, by shard. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings.oncall.answers import Answer, Document, Report, answered, or_none, silent
from tidings.oncall.table import seconds, table
from tidings.ops.printable import plain

HEADS: Final = ("SHARD", "GATEWAY", "FEED", "LAG", "SILENT")
Feeds = Mapping[str, Mapping[str, Any]]
"""What a gateway publishes of its feeds, by shard; with several workers the name has the worker's number."""


def shards_of(document: Document) -> Feeds:
    """The feeds of a process, or of all its workers."""
    own: Feeds = document.get("shards", {})
    feeds = dict(own)
    for number, worker in document.get("workers", {}).items():
        feeds |= {f"{shard} (worker {number})": feed for shard, feed in worker.get("shards", {}).items()}
    return feeds


def report(answers: Sequence[Answer]) -> Report:
    """What `/debug/vars` of all processes says of the shards that they read."""
    feeds = [
        {"shard": shard, "gateway": name, **feed}
        for name, document in answered(answers)
        for shard, feed in shards_of(document).items()
    ]
    feeds.sort(key=lambda feed: (int(feed["shard"].split()[0]), feed["gateway"]))
    faults = silent(answers)
    rows = [
        (
            feed["shard"],
            feed["gateway"],
            "live" if feed["live"] else "catching up",
            seconds(feed["lag_seconds"]),
            seconds(feed["silent_seconds"]),
        )
        for feed in feeds
    ]
    text = or_none(table(HEADS, rows) if rows else "", "no gateway reads a shard: no client is connected", answers)
    text += "".join(f"{plain(line)}\n" for line in faults)
    document = {"feeds": feeds, "faults": faults}
    return Report(text, document, not faults and all(feed["live"] for feed in feeds))
