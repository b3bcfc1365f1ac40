"""`tidings explain`: an account's story in sentences, the newest last, and what is not as it should be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from tidings.oncall.answers import Answer, Document, Report, answered, silent
from tidings.ops.printable import plain

MOST_EVENTS: Final = 50
"""Events that are told, the newest."""
_STATES: Final = {
    "not subscribed": "has connected and not subscribed: the client gets no pushes until it subscribes",
    "does not read": "does not read: what was sent waits in the network or in the machine of the client",
    "waits to be resumed": "waits while the gateway reads the missed changes from the log",
}
"""Why a connection that is there may be told nothing."""
_NOTES: Final = {
    "fresh": "subscribed, from now on",
    "nothing_missed": "came back, had missed nothing",
    "replayed_window": "came back, was told what it had missed, from memory",
    "replayed_stream": "came back, was told what it had missed, from the log",
    "resync": "came back, and had to fetch everything again",
}
"""How a subscription began."""


def report(answers: Sequence[Answer]) -> Report:
    """What `/debug/accounts/{account}` of all gateways says, as a story."""
    documents = list(answered(answers))
    wrong = [*silent(answers), *(each for name, document in documents for each in _wrong(name, document))]
    events = sorted({event for name, document in documents for event in _events(name, document)})
    lines = [*(_standing(name, document) for name, document in documents)]
    if len(events) > MOST_EVENTS:
        lines.append(f"The newest {MOST_EVENTS} of {len(events)} events:")
    lines += [f"{at}  {what}" for at, _, what in events[-MOST_EVENTS:]]
    if wrong:
        lines += ["", "Not as it should be:", *(f"- {each}" for each in wrong)]
    text = "".join(f"{plain(line)}\n" for line in lines)
    return Report(text, {"answers": dict(documents), "wrong": wrong}, not wrong)


def _parts(document: Document) -> Sequence[Document]:
    """What each worker says, or what the only process says."""
    workers: Sequence[Document] = document.get("workers", (document,))
    return workers


def _standing(name: str, document: Document) -> str:
    count = len(document["connections"]) + sum(part.get("connections_omitted", 0) for part in _parts(document))
    shard = _parts(document)[0]["shard"]
    live = any(part["feed"] and part["feed"]["live"] for part in _parts(document))
    feed = "its feed is live" if live else "no feed of it is live here"
    return f"{name}: shard {shard}, {count} connection{'' if count == 1 else 's'}, {feed}"


def _events(name: str, document: Document) -> Iterator[tuple[str, int, str]]:
    """When, in which order within a millisecond (a change is in the log before it is pushed), and what."""
    for note in document["history"]:
        connection = f", connection {note['connection']}" if note["connection"] else ""
        yield note["at"], 1, f"{name}: {_NOTES.get(note['what'], note['what'])}{connection}"
    # All gateways read the same log, so that equal changes are told once.
    for change in document.get("changes", ()):
        yield change["at"], 0, f"log, offset {change['offset']}: {_states(change)}"


def _states(change: Document) -> str:
    changed: Any = change.get("changed") or {}
    # Without a state, the storage has none: each gateway makes one for its clients.
    told = (f"{kind} is at {state}" if state else f"{kind} has changed" for kind, state in changed.items())
    return ", ".join(told) or "a change"


def _wrong(name: str, document: Document) -> Iterator[str]:
    connections = document["connections"]
    for connection in connections:
        why = _STATES.get(connection["state"])
        if why is not None:
            yield f"{name}: connection {connection['connection']} ({connection['format']}) {why}"
    if connections and not any(part["feed"] and part["feed"]["live"] for part in _parts(document)):
        yield f"{name}: clients are connected, but the feed of their shard is not live: these clients get no pushes now"
    fault = (document.get("log") or {}).get("fault")
    if fault:
        yield f"{name}: the log could not be read: {fault}"
