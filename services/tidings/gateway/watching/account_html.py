"""What is known of an account, as a page for people: its clients, and its story in the order of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final
from urllib.parse import quote

Document = Mapping[str, Any]

_CONNECTION: Final = ("connection", "format", "state", "types", "subscribed_at", "told_at", "ends_at")
_HEADS: Final = ("Connection", "Format", "State", "Types", "Subscribed", "Last push", "Ends")
SEARCH: Final = (
    "<form role=search><label>Account <input name=account required autocomplete=off spellcheck=false></label> "
    "<button>Show</button></form>"
)
"""Leads to the page of an account."""
_SCRIPT: Final = "<script type=module src='../../assets/account.js'></script>"


def account_page(document: Document) -> str:
    """The body of the page of an account, from what its JSON document says, of one process or of all workers."""
    account = escape(document["account"])
    parts: Sequence[Document] = document.get("workers", (document,))
    return (
        f"{SEARCH}{''.join(map(_standing, parts))}<h2>Connections</h2>{_connections(document)}"
        f'<p><button id=disconnect data-account="{account}">Disconnect</button> '
        "<output id=answer>This button closes all connections of the account on this gateway. "
        "The clients then need a new token.</output>"
        f"<h2>What happened</h2>{_story(document)}"
        f"<p><a href='?format=json'>This page as JSON</a>{_SCRIPT}"
    )


def search_page(accounts: Iterable[tuple[str, float]]) -> str:
    """The body of the page that leads to accounts: a search, and those that are pushed to most, with their shares."""
    rows = [(f"<a href='{_link(account)}'>{escape(account)}</a>", f"{share:.0%}") for account, share in accounts]
    most = f"<h2>Accounts with most pushes</h2>{_table(('Account', 'Share of pushes'), rows)}" if rows else ""
    return f"{SEARCH}{most}{_SCRIPT}"


def _link(account: str) -> str:
    return escape(quote(account, safe="@"), quote=True)


def _standing(part: Document) -> str:
    feed = part.get("feed")
    worker = f"Worker {part['worker']}: shard" if "worker" in part else "Shard"
    live = (
        "no feed, because no client of this shard is connected here"
        if feed is None
        else ("the feed is live" if feed["live"] else "the feed is not live: clients receive no changes now")
    )
    return f"<p>{worker} {part['shard']}, {live}."


def _connections(document: Document) -> str:
    found: Sequence[Document] = document["connections"]
    if not found:
        return "<p>No client of this account is connected here."
    return _table(_HEADS, ([escape(_shown(name, each[name])) for name in _CONNECTION] for each in found))


def _story(document: Document) -> str:
    """Notes of the gateway and changes of the log, the newest first; a change comes before its push."""
    notes = [(note["at"] or "", 1, note["what"], note["connection"] or "") for note in document["history"]]
    changes = [
        (change["at"] or "", 0, f"in the log, offset {change['offset']}: {_states(change)}", "")
        for change in document.get("changes", ())
    ]
    told = sorted((*notes, *changes), reverse=True)
    if not told:
        return "<p>This gateway has no record of this account."
    rows = ((escape(at), escape(connection), escape(what)) for at, _, what, connection in told)
    return _table(("When", "Connection", "What"), rows)


def _states(change: Document) -> str:
    changed: Mapping[str, str | None] = change.get("changed") or {}
    # Without a state, the storage has none: each gateway makes one for its clients.
    told = (f"{kind} is at {state}" if state else f"{kind} has changed" for kind, state in changed.items())
    return ", ".join(told) or "a change"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "all" if name == "types" else ""
    return ", ".join(value) if isinstance(value, list) else str(value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are HTML."""
    head = "".join(f"<th>{name}" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}' for cell in row)}" for row in rows)
    return f"<div class=wide><table class=text><thead><tr>{head}<tbody>{body}</table></div>"
