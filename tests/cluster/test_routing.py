"""Clients and storages that come from outside, by Ingresses and by HTTPRoutes, each to its group of gateways."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import jwt
import pytest

from tests.cluster import files
from tests.cluster.kube import Kube, Object
from tests.cluster.release import Release
from tests.cluster.routing import CLASS, route
from tests.support.chart import ROOT, TIDINGS, merged
from tests.support.metrics import Scrape
from tests.support.waiting import patient

PUSH, INGEST = (f"http://{host}" for host in files.HOSTS)
SECONDS = 60.0
SILENT_SECONDS = 65
"""For longer than Traefik lets clients take to send a request."""
GROUPS = ("0", "1")
ASK = """
import sys, urllib.request
asked = urllib.request.Request(sys.argv[1], headers={"Authorization": f"Bearer {sys.argv[2]}"})
print(urllib.request.urlopen(asked, timeout=60).read().decode())
"""


def _ingress(host: str) -> Object:
    return {"ingress": {"enabled": True, "className": CLASS, "hosts": [host]}}


def _route(host: str) -> Object:
    parent = {"name": "public", "namespace": "gateways"}
    return {"httpRoute": {"enabled": True, "parentRefs": [parent], "hostnames": [host]}}


WAYS = {"ingress": _ingress, "route": _route}
VALUES: Object = {
    "gateway": {
        "groups": len(GROUPS),
        "minReadySeconds": 0,
        "settings": {"publicUrl": PUSH, "trustedProxy": [files.PODS], "drainSeconds": 1},
    },
}


@pytest.fixture(scope="module")
def cluster(kube: Kube) -> Kube:
    """The cluster, with what serves Ingresses and HTTPRoutes."""
    route(kube)
    return kube


@pytest.fixture(scope="module", params=WAYS)
def outside(cluster: Kube, request: pytest.FixtureRequest) -> Iterator[Release]:
    """A release that clients and storages reach from outside."""
    way = WAYS[request.param]
    push, ingest = map(way, files.HOSTS)
    release = Release(cluster, f"by-{request.param}")
    try:
        values = release.directory / "values.json"
        values.write_text(json.dumps(merged(VALUES, push, {"publisher": ingest})))
        release.helm("install", TIDINGS, values=[values])
        release.rolled_out()
        release.until(lambda: _told(release), "a way for clients")
        yield release
    finally:
        # The next one has the same host names.
        cluster.try_("helm", "uninstall", "tidings", f"--namespace={release.namespace}")
        release.close()


def _told(release: Release) -> bool:
    return "pushState" in release.kube.try_(*_poll(release))


def _poll(release: Release, under: str = "") -> list[str]:
    """What asks, as a client of alice does, below a path of the host for clients."""
    secret = release.tokens()["TIDINGS_JWT_SECRET"]
    token = jwt.encode({"sub": "alice", "exp": int(time.time()) + 600}, secret, "HS256")
    return [sys.executable, "-c", ASK, f"{PUSH}{under}/jmap/changes", token]


def test_nothing_on_the_way_is_wrong(outside: Release) -> None:
    """Each transport, a change that comes in from outside, and the addresses that clients have."""
    check = ("-m", "tidings", "check", "--through", PUSH, "--ingest-url", INGEST)
    silent = f"--seconds={SILENT_SECONDS}"
    wait = f"--timeout-seconds={patient(SECONDS / 4):.0f}"
    env = {**outside.tokens(), "PYTHONPATH": str(ROOT / "services")}
    said = outside.kube.run(sys.executable, *check, silent, wait, seconds=SILENT_SECONDS + SECONDS, env=env)
    for transport in ("a WebSocket", "an event stream", "a poll"):
        assert f"{transport} was told of a change after" in said
        assert f"{transport} lasted {SILENT_SECONDS} s" in said
    assert "FOUND" not in said


def test_each_group_has_a_path_of_its_own(outside: Release) -> None:
    asked = {group: int(group) + 2 for group in GROUPS}
    before = {group: _polls(outside, group) for group in GROUPS}
    for group, times in asked.items():
        for _ in range(times):
            outside.kube.run(*_poll(outside, f"/g/{group}"))
    assert {group: _polls(outside, group) - before[group] for group in GROUPS} == asked


def _polls(release: Release, group: str) -> float:
    """How many polls the gateways of a group have answered."""
    pods = [pod for pod in release.pods("gateway") if pod["metadata"]["labels"]["tidings/group"] == group]
    assert pods
    texts = [release.url(f"http://{pod['status']['podIP']}:9091/metrics") for pod in pods]
    return sum(Scrape(text).value("tidings_polls_answered_total") for text in texts)


def test_a_rollout_loses_nothing_that_comes_through(outside: Release) -> None:
    before = {pod["metadata"]["name"] for pod in outside.pods("gateway")}
    with outside.counting(ingest=INGEST, gateway=PUSH):
        restarted = [f"deployment/tidings-gateway-{group}" for group in GROUPS]
        outside.run(f"kubectl rollout restart {' '.join(restarted)} statefulset/tidings-publisher")
        outside.rolled_out()
    assert not before & {pod["metadata"]["name"] for pod in outside.pods("gateway")}
