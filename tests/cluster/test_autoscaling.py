"""The autoscaler that the chart makes, on what metrics-server measures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.addons import measure
from tests.cluster.kube import Kube
from tests.cluster.release import Release
from tests.support.chart import TIDINGS

SECONDS = 120.0
"""A measurement takes up to half a minute, a decision five seconds, a pod ten."""
SCALED = "gateway.autoscaling.enabled=true,gateway.autoscaling.minReplicas=1,gateway.autoscaling.maxReplicas=2"
CPU = 8
"""Per cent of the request, which is 100 millicores: an idle gateway takes less, one that tells of 200 changes more."""


@pytest.fixture
def busy(kube: Kube) -> Iterator[Release]:
    release = Release(kube, "busy")
    try:
        measure(kube)
        release.helm("install", TIDINGS, "--set", f"{SCALED},gateway.autoscaling.cpuPercent={CPU}")
        release.rolled_out()
        yield release
    finally:
        release.kube.try_("helm", "uninstall", "tidings", "--namespace=busy")
        release.close()


def test_gateways_that_use_more_than_they_should_become_more(busy: Release) -> None:
    with busy.counting(rate=200):
        busy.until(lambda: len(busy.pods("gateway")) == 2, "a second gateway", SECONDS)
        busy.rolled_out()
    (scaler,) = busy.get("horizontalpodautoscalers")["items"]
    conditions = {each["type"]: each["status"] for each in scaler["status"]["conditions"]}
    assert conditions["ScalingActive"] == conditions["AbleToScale"] == "True"
