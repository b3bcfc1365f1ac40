"""The page at `/debug/pprof/`: which profiles there are, what each is and costs. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote

from asyncio_pprof.home import Home

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STYLE: Final = (
    "html{background:Canvas;color:CanvasText}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;"
    "border-bottom:1px solid #8884}td:nth-child(-n+2){white-space:nowrap}code{font-size:.95em}"
)


class Entry(NamedTuple):
    """A row: `text` is a query that gives text, or empty; `timed`, the one that takes seconds."""

    name: str
    about: str
    cost: str
    text: str = ""
    timed: str = ""
    graph: bool = True


MORE: Final = (("memory", "memory"), ("gc", "garbage collector"), ("objects", "objects"), ("requests", "requests"))
"""The pages beside the profiles."""


def page(title: str, entries: Iterable[Entry], comment: str, home: Home | None = None) -> str:
    """The page, as HTML. Links are relative, so that they hold below any prefix."""
    rows = "".join(_row(entry) for entry in entries)
    name = html.escape(title)
    back = f"<p><a href='../{html.escape(home.href)}'>{html.escape(home.title)}</a>" if home else ""
    more = ", ".join(f'<a href="../{path}">{what}</a>' for path, what in MORE)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content='light dark'>"
        f"<meta name=viewport content='width=device-width'><title>{name}: profiles</title><style>{_STYLE}</style>"
        f"<header>{back}<h1>{name}: profiles</h1></header><main><p>{html.escape(comment)}"
        f"<p>To open a profile, choose <b>flame graph</b>, or run "
        f"<code>go tool pprof http://.../debug/pprof/profile</code>. With "
        f"<code>?seconds=N</code>, profiles that count from the start of the process show only N seconds."
        f"<table><thead><tr><th scope=col>Profile<th scope=col>Open<th scope=col>What it shows<th scope=col>What it "
        f"costs<tbody>{rows}</table><p>Other pages: {more}.</main>"
    )


def _row(entry: Entry) -> str:
    name = html.escape(entry.name)
    links = []
    if entry.graph:
        links.append(f'<a href="{html.escape(_graph(entry.name, entry.timed))}">flame graph</a>')
    if entry.text:
        links.append(f'<a href="{html.escape(entry.name + entry.text)}">text</a>')
    return (
        f'<tr><td><a href="{name}">{name}</a><td>{" ".join(links)}'
        f"<td>{html.escape(entry.about)}<td>{html.escape(entry.cost)}"
    )


def _graph(name: str, query: str) -> str:
    """Where a profile is shown as a flame graph."""
    profile = f"../pprof/{name}{'?' if query else ''}{query}"
    return f"../flame/#profileURL={quote(profile, safe='')}&title={quote(name)}"
