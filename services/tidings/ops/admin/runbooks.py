"""The runbooks of the alerts, served by the process itself: who looks at an outage may reach nothing else."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncio_pprof.page import document
from tidings.ops.admin.home import DASHBOARD

PATH: Final = "/debug/runbooks"
_HEADING: Final = re.compile(r"^### (\w+)$", re.MULTILINE)
_END: Final = re.compile(r"^## ", re.MULTILINE)
_BLOCK: Final = re.compile(r"```\w*\n(.*?)\n```\s*|(.+?)(?:\n\n|\Z)", re.DOTALL)
_TO_ANOTHER: Final = re.compile(r"\[(Tidings\w+)\]\(#(\w+)\)")


def source() -> Path:
    """Where docs/operations.md is: inside an installed package, or beside a source checkout's services."""
    packaged = Path(__file__).parent / "static" / "operations.md"
    return packaged if packaged.is_file() else Path(__file__).parents[4] / "docs" / "operations.md"


def runbooks(text: str) -> dict[str, str]:
    """The text of each alert's runbook in docs/operations.md, by the alert's name. Pure."""
    section = _END.split(text.partition("\n## Alerts and runbooks\n")[2])[0]
    _, *parts = _HEADING.split(section)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def page(text: str) -> str:
    """The runbooks in docs/operations.md as HTML: of its Markdown, blocks and links to other runbooks. Pure."""
    parts = ((name, "".join(map(_block, _BLOCK.finditer(body)))) for name, body in runbooks(text).items())
    return "".join(f"<section><h2 id={name.lower()}>{name}</h2>{blocks}</section>" for name, blocks in parts)


def _block(found: re.Match[str]) -> str:
    code, words = found.groups()
    text = html.escape(code or words, quote=False)
    if code or words.startswith("|"):
        return f"<pre class=wide>{text}</pre>"
    linked = _TO_ANOTHER.sub(r"<a href=#\2>\1</a>", text)
    return f"<p class=words>{linked}</p>"


async def _page(_: Request) -> Response:
    return document("Runbooks", page(source().read_text()), DASHBOARD)


ROUTE: Final = Route(PATH, _page)
