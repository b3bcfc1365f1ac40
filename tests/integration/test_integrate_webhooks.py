"""docs/integrate/webhooks.md: what it says to run is run, and what it says to send is taken."""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64encode
from fnmatch import fnmatch
from pathlib import Path

import httpx2
import yaml

from tests.support.clients import jmap_client
from tests.support.processes import tidings
from tidings.publisher.ingest.routes import ROUTES, routes_of
from tidings.publisher.settings import PublisherSettings
from tidings.wire.cloudevents import STRUCTURED
from tidings.wire.stalwart import EVENTS, LOSSES

PAGE = (Path(__file__).parents[2] / "docs" / "integrate" / "webhooks.md").read_text()
RECORDED = Path(__file__).parents[1] / "recorded"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_stalwart_tells_a_client(tmp_path: Path) -> None:
    start = 'export TIDINGS_STALWART_SECRET=$(openssl rand -hex 16)\necho "$TIDINGS_STALWART_SECRET"\ntidings up\n'
    assert blocks("sh") == [start]
    secret, body = "0123456789abcdef0123456789abcdef", (RECORDED / "stalwart.json").read_bytes()
    signature = b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
    with tidings("up", *flags, env={"TIDINGS_STALWART_SECRET": secret}) as up:
        async with jmap_client(up.url("gateway", "/jmap/ws?account=n", "ws")) as client, httpx2.AsyncClient() as http:
            assert await client.subscribe() == {}
            url = up.url("ingest", "/v1/webhooks/stalwart")
            assert (await http.post(url, content=body, headers={"X-Signature": signature})).status_code == 202
            assert set((await client.changed())["n"]) == {"Email", "Mailbox", "Thread", "EmailDelivery"}


def test_the_events_to_include_are_those_that_are_understood() -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| Events | "))
    listed = re.findall(r"`([a-z0-9.*-]+)`", row)
    understood = {*EVENTS, *LOSSES}
    assert all(any(fnmatch(name, pattern) for pattern in listed) for name in understood)
    assert all(any(fnmatch(name, pattern) for name in understood) for pattern in listed)


def test_paths_are_those_that_there_are() -> None:
    paths = {route.path for route in (*ROUTES, *routes_of(PublisherSettings()))}
    assert set(re.findall(r"(/v1/[a-z/]+)", PAGE)) <= paths
    for block in blocks("yaml"):
        assert {"apiVersion", "kind", "metadata", "spec"} <= set(yaml.safe_load(block))


async def test_the_data_that_dapr_wraps_is_taken(tmp_path: Path) -> None:
    (data,) = blocks("json")
    event = json.loads((RECORDED / "dapr-data.json").read_text()) | {"data": json.loads(data)}
    with tidings("up", "--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state")) as up:
        async with (
            jmap_client(up.url("gateway", "/jmap/ws?account=alice", "ws")) as client,
            httpx2.AsyncClient() as http,
        ):
            assert await client.subscribe() == {}
            url = up.url("ingest", "/v1/changes")
            assert (await http.post(url, json=event, headers={"Content-Type": STRUCTURED})).status_code == 202
            assert await client.changed() == {"alice": {"Email": "s1042"}}
