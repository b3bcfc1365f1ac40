"""The autoscaler that the chart makes, on what metrics-server measures, and on connections."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.cluster.addons import Prometheus, measure
from tests.cluster.kube import Kube
from tests.cluster.page import blocks
from tests.cluster.release import Release
from tests.support.chart import TIDINGS, UMBRELLA

SECONDS = 120.0
"""A measurement takes up to half a minute, a decision five seconds, a pod ten."""
SCALED = "gateway.autoscaling.enabled=true,gateway.autoscaling.minReplicas=1,gateway.autoscaling.maxReplicas=2"
CPU = 8
"""Per cent of the request, which is 100 millicores: an idle gateway takes less, one that tells of 200 changes more."""
CONNECTIONS = 20
"""For each gateway."""
SCRAPED = 9091
HOLD = """
import socket, sys
held = []
for _ in range(int(sys.argv[3])):
    held.append(socket.create_connection((sys.argv[1], int(sys.argv[2])), 60))
    held[-1].sendall(b"GET /jmap/eventsource?account=alice HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    assert b" 200 " in held[-1].recv(4096)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def busy(kube: Kube) -> Iterator[Release]:
    release = Release(kube, "busy")
    try:
        yield release
    finally:
        release.kube.try_("helm", "uninstall", "tidings", "--namespace=busy")
        release.close()


def test_gateways_that_use_more_than_they_should_become_more(busy: Release) -> None:
    measure(busy.kube)
    busy.helm("install", TIDINGS, "--set", f"{SCALED},gateway.autoscaling.cpuPercent={CPU}")
    busy.rolled_out()
    with busy.counting(rate=200):
        busy.until(lambda: len(busy.pods("gateway")) == 2, "a second gateway", SECONDS)
        busy.rolled_out()
    assert conditions(busy)["ScalingActive"] == conditions(busy)["AbleToScale"] == "True"


def test_gateways_with_more_connections_than_they_should_have_become_more(busy: Release) -> None:
    """With the configuration of prometheus-adapter that the page has."""
    values, rules = blocks("size", "### With the chart's autoscaler", "yaml")
    (busy.directory / "page.yaml").write_text(values)
    below = f"connectionsPerPod={CONNECTIONS},minReplicas=1,maxReplicas=2,cpuPercent=0".split(",")
    scaled = ",".join(f"tidings.gateway.autoscaling.{each}" for each in below)
    prometheus = Prometheus(busy.kube, rules)
    busy.helm("install", UMBRELLA, "--set", scaled, values=[busy.directory / "page.yaml"])
    busy.rolled_out()

    def gateways() -> int:
        pods = busy.pods("gateway")
        prometheus.scrape(pods, SCRAPED)
        return len(pods)

    busy.until(lambda: gateways() and conditions(busy).get("ScalingActive") == "True", "connections counted", SECONDS)
    assert gateways() == 1
    with held(busy, 2 * CONNECTIONS):
        busy.until(lambda: gateways() == 2, "a second gateway", SECONDS)
        busy.rolled_out()


def conditions(release: Release) -> dict[str, str]:
    """How the autoscaler is."""
    (scaler,) = release.get("horizontalpodautoscalers")["items"]
    return {each["type"]: each["status"] for each in scaler.get("status", {}).get("conditions", [])}


@contextmanager
def held(release: Release, number: int) -> Iterator[None]:
    """Clients that listen for as long as this lasts."""
    address = urlsplit(release.address("tidings-gateway"))
    command = (sys.executable, "-c", HOLD, str(address.hostname), str(address.port), str(number))
    with subprocess.Popen(
        release.kube.command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield
        finally:
            process.kill()
