"""The page at `/` of an admin listener, and the values it shows: `/debug/vars`."""

from __future__ import annotations

import html
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from asyncio_pprof.page import HEADERS, assets
from tidings.ops.admin.runbooks import PATH
from tidings.ops.admin.variables import variables
from tidings.ops.health import Health
from tidings.ops.troubles import Trouble

ASSETS: Final[Sequence[BaseRoute]] = (
    Mount("/assets", StaticFiles(packages=[("tidings.ops.admin", "static")]), name="assets"),
    assets(),
)
"""The files of the dashboard, and the style that it shares with the pages below `/debug/`."""
Published = Mapping[str, Callable[[], object]]
"""What a service shows beside its metrics, by name; values for JSON."""


def dashboard_page(
    title: str, state: str, links: Sequence[str], more: str = "", troubles: Sequence[Trouble] = ()
) -> Response:
    """The page; its script asks for `debug/vars`. Links are relative, so that they hold below any prefix.

    `more` is HTML below what the script draws. What is wrong comes before everything else.
    """
    items = "".join(f'<li><a href="{html.escape(link)}">{html.escape(link)}</a>' for link in links)
    name = html.escape(title)
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{name}</title><link rel=icon href='assets/icon.svg'>"
        "<link rel=stylesheet href='debug/assets/pages.css'>"
        "<link rel=stylesheet href='assets/dashboard.css'><script type=module src='assets/dashboard.js'></script>"
        f"<header class=bar><h1>{name}</h1><p id=state class=state>{html.escape(state)}<p id=facts class=quiet>"
        "<p id=answer class=quiet></header><main class=dashboard>"
        f"<section id=troubles role=status aria-label=Problems>{''.join(map(_trouble, troubles))}</section>"
        "<div id=dashboard>"
        "<noscript><p>This dashboard needs JavaScript. The pages below work without it.</noscript></div></main>"
        f"<footer class=pages>{more}<h2>Pages</h2><ul>{items}</ul></footer>",
        headers=HEADERS,
    )


def _trouble(trouble: Trouble) -> str:
    """As `static/troubles.js` draws it."""
    link = f"{PATH.removeprefix('/')}#{trouble.runbook.lower()}"
    return (
        f"<p class=trouble><strong>{html.escape(trouble.what)}</strong> {html.escape(trouble.why)}. "
        f'<a href="{html.escape(link)}">What to do</a>'
    )


def process_facts(title: str) -> dict[str, Any]:
    """Which process this is."""
    return {"title": title, "pid": os.getpid(), "python": platform.python_version()}


class VariablesPage:
    """Answers `/debug/vars` for one process: metrics, health, and what services publish."""

    def __init__(self, title: str, registry: CollectorRegistry, health: Health, published: Published) -> None:
        self._title = title
        self._registry = registry
        self._health = health
        self._published = published

    def routes(self) -> list[Route]:
        """What an application needs to serve it."""
        return [Route("/debug/vars", self._variables)]

    async def _variables(self, request: Request) -> Response:
        """`?metrics=0` leaves out the metrics, which somebody else has already."""
        ready, unready = self._health.ready()
        told: dict[str, Any] = {
            "process": process_facts(self._title),
            "time": time.time(),
            "state": {
                "alive": self._health.alive(),
                "ready": ready,
                "unready": unready,
                "troubles": [asdict(trouble) for trouble in self._health.troubles()],
            },
            **{name: read() for name, read in dict(self._published).items()},
        }
        if request.query_params.get("metrics") != "0":
            told["metrics"] = variables(self._registry.collect())
        return JSONResponse(told, headers={"Cache-Control": "no-store"})
