"""The page at `/` of an admin listener, and the values it shows: `/debug/vars`."""

from __future__ import annotations

import html
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tidings.ops.health import Health
from tidings.ops.page import HEADERS
from tidings.ops.variables import variables

Published = Mapping[str, Callable[[], object]]
"""What a service shows beside its metrics, by name; values for JSON."""


def dashboard_page(title: str, state: str, links: Sequence[str], more: str = "") -> Response:
    """The page; its script asks for `debug/vars`. Links are relative, so that they hold below any prefix.

    `more` is HTML below what the script draws.
    """
    items = "".join(f'<li><a href="{html.escape(link)}">{html.escape(link)}</a>' for link in links)
    name = html.escape(title)
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{name}</title><link rel=icon href='assets/icon.svg'><link rel=stylesheet href='assets/ops.css'>"
        "<link rel=stylesheet href='assets/dashboard.css'><script type=module src='assets/dashboard.js'></script>"
        f"<header class=bar><h1>{name}</h1><p id=state class=state>{html.escape(state)}<p id=facts class=quiet>"
        "<p id=answer class=quiet></header><main id=dashboard class=dashboard>"
        "<noscript><p>The numbers here are drawn by a script; the pages below work without.</noscript></main>"
        f"<footer class=pages>{more}<h2>Pages</h2><ul>{items}</ul></footer>",
        headers=HEADERS,
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
            "state": {"alive": self._health.alive(), "ready": ready, "unready": unready},
            **{name: read() for name, read in dict(self._published).items()},
        }
        if request.query_params.get("metrics") != "0":
            told["metrics"] = variables(self._registry.collect())
        return JSONResponse(told, headers={"Cache-Control": "no-store"})
