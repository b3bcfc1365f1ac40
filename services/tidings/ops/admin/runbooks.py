"""The runbooks of the alerts, served by the process itself: during an outage, people may reach nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncio_pprof.page import document
from tidings.ops.admin.home import DASHBOARD

PATH: Final = "/debug/runbooks"
_BLOCK: Final = re.compile(r"```\w*\n(.*?)\n```\s*|(.+?)(?:\n\n|\Z)", re.DOTALL)
_ITEM: Final = re.compile(r"^(?:-|\d+\.) ", re.MULTILINE)
_CODE: Final = re.compile(r"`([^`]+)`")
_BOLD: Final = re.compile(r"\*\*([^*]+)\*\*")
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([\w./#-]+)\)")


def source() -> Path:
    """The directory of the runbooks: inside an installed package, or docs/runbooks of a source checkout."""
    packaged = Path(__file__).parent / "static" / "runbooks"
    return packaged if packaged.is_dir() else Path(__file__).parents[4] / "docs" / "runbooks"


def read(directory: Path) -> dict[str, str]:
    """The Markdown of each runbook by the name of its alert, in alphabetical order."""
    return {path.stem: path.read_text() for path in sorted(directory.glob("Tidings*.md"))}


def page(runbooks: Mapping[str, str]) -> str:
    """An index and the runbooks as HTML, from the part of Markdown that they use: see `_block` and `_inline`. Pure."""
    index = "".join(f"<li><a href=#{name.lower()}>{name}</a>" for name in runbooks)
    return f"<ul class=words>{index}</ul>" + "".join(_section(name, text) for name, text in runbooks.items())


def _section(name: str, text: str) -> str:
    _, _, body = text.partition("\n\n")
    return f"<section><h2 id={name.lower()}>{name}</h2>{''.join(map(_block, _BLOCK.finditer(body)))}</section>"


def _block(found: re.Match[str]) -> str:
    code, words = found.groups()
    if code:
        return f"<pre class=wide>{html.escape(code, quote=False)}</pre>"
    if words.startswith("## "):
        return f"<h3>{_inline(words[3:])}</h3>"
    if words.startswith("|"):
        return _table(words)
    first, *items = _ITEM.split(words)
    if first:
        return f"<p class=words>{_inline(words)}</p>"
    tag = "ul" if words.startswith("-") else "ol"
    return f"<{tag} class=words>{''.join(f'<li>{_inline(item)}' for item in items)}</{tag}>"


def _table(text: str) -> str:
    header, _, *rows = (line.strip("|").split("|") for line in text.splitlines())
    titles = "".join(f"<th>{_inline(cell)}" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{_inline(cell)}' for cell in row)}" for row in rows)
    return f"<div class=wide><table class='text words-last'><thead><tr>{titles}<tbody>{body}</table></div>"


def _inline(text: str) -> str:
    escaped = html.escape(text.strip(), quote=False)
    return _LINK.sub(_linked, _BOLD.sub(r"<b>\1</b>", _CODE.sub(r"<code>\1</code>", escaped)))


def _linked(found: re.Match[str]) -> str:
    """A link to another runbook leads to its section. For another document, the text says where the document is."""
    words, target = found.groups()
    if target.startswith("Tidings"):
        return f"<a href=#{target.removesuffix('.md').lower()}>{words}</a>"
    return f"{words} ({target.replace('../', 'docs/', 1)})"


async def _page(_: Request) -> Response:
    return document("Runbooks", page(read(source())), DASHBOARD)


ROUTE: Final = Route(PATH, _page)
