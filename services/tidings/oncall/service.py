"""The composition root of the commands for the person on call: ask, report, exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from tidings.errors import CheckFailed, SettingsError
from tidings.oncall import connections, disconnected, kubectl, shards, status, story
from tidings.oncall.answers import Answer, Report, Reporting
from tidings.oncall.processes import Processes
from tidings.oncall.settings import (
    AskSettings,
    ConnectionsSettings,
    DisconnectSettings,
    ExplainSettings,
    ShardsSettings,
    StatusSettings,
)

HERE: Final = "http://127.0.0.1:9090"
VARIABLES: Final = "/debug/vars"


def run_status(settings: StatusSettings) -> int:
    """Run `tidings status`; the exit code."""
    return _run(settings, VARIABLES, "metrics", status.report)


def run_shards(settings: ShardsSettings) -> int:
    """Run `tidings shards`; the exit code."""
    return _run(settings, VARIABLES, "metrics", shards.report)


def run_connections(settings: ConnectionsSettings) -> int:
    """Run `tidings connections`; the exit code."""
    if settings.account is None:
        return _run(settings, VARIABLES, "metrics", connections.counts)
    return _run(settings, f"{_page(settings.account)}?seconds=0", "connections", connections.of_account)


def run_explain(settings: ExplainSettings) -> int:
    """Run `tidings explain`; the exit code."""
    return _run(settings, f"{_page(settings.account)}?seconds={settings.seconds}", "history", story.report)


def run_disconnect(settings: DisconnectSettings) -> int:
    """Run `tidings disconnect`; the exit code."""
    path = f"{_page(settings.account)}/disconnect?code={settings.code}"
    return _run(settings, path, "disconnected", disconnected.report, method="POST")


def _page(account: str) -> str:
    return f"/debug/accounts/{quote(account, safe='')}"


def _run(settings: AskSettings, path: str, member: str, reporting: Reporting, *, method: str = "GET") -> int:
    if settings.kube and settings.admin_url:
        raise SettingsError("--kube and --admin-url: give one of them")
    try:
        report = asyncio.run(_ask(settings, path, member, reporting, method))
    except CheckFailed as error:
        sys.stderr.write(f"tidings: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 1
    sys.stdout.write(f"{json.dumps(report.document, indent=2)}\n" if settings.json_output else report.text)
    return 0 if report.passed else 1


async def _ask(settings: AskSettings, path: str, member: str, reporting: Reporting, method: str) -> Report:
    token = settings.admin_token
    async with (
        _processes(settings, gateways=path != VARIABLES) as urls,
        Processes(urls, None if token is None else token.get_secret_value(), settings.timeout_seconds) as processes,
    ):
        return reporting(await processes.ask(path, member, method=method))


@asynccontextmanager
async def _processes(settings: AskSettings, *, gateways: bool) -> AsyncIterator[Mapping[str, str | Answer]]:
    if settings.kube:
        async with kubectl.forwarded(settings.kube, gateways=gateways) as urls:
            yield urls
    else:
        yield {url: url for url in settings.admin_url or (HERE,)}
