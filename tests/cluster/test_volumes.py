"""What stays when a release goes: its volumes and Secrets, and with them its log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.kube import Kube
from tests.cluster.release import Release
from tests.support.chart import ROOT, UMBRELLA

PUBLISH = f"PYTHONPATH={ROOT / 'services'} {sys.executable} -m tidings publish"
QUICK = "tidings.gateway.preStopSeconds=0,tidings.gateway.settings.drainSeconds=1,tidings.gateway.minReadySeconds=0"


@pytest.fixture
def kept(kube: Kube) -> Iterator[Release]:
    release = Release(kube, "kept")
    try:
        yield release
    finally:
        release.close()


def test_a_release_that_is_installed_again_has_its_log(kept: Release) -> None:
    install(kept)
    cursor = poll(kept)["pushState"]
    token = kept.secret("tidings", "ingest-tokens")
    kept.run(f"TIDINGS_INGEST_TOKEN={token} {PUBLISH} --ingest-url={kept.address('tidings-publisher')} alice")
    claims = volumes(kept)
    assert claims

    kept.helm("uninstall")
    kept.until(lambda: not kept.get("pods")["items"], "all pods gone")
    assert volumes(kept) == claims

    install(kept)
    assert volumes(kept) == claims
    assert kept.secret("tidings", "ingest-tokens") == token
    assert "Email" in poll(kept, since=cursor)["changed"]["alice"]


def install(release: Release) -> None:
    release.helm("install", UMBRELLA, "--set", QUICK)
    release.rolled_out()


def volumes(release: Release) -> dict[str, str]:
    """The volume of each claim."""
    found = release.get("persistentvolumeclaims")["items"]
    return {each["metadata"]["name"]: each["spec"]["volumeName"] for each in found}


def poll(release: Release, since: str = "") -> Any:
    """What a client is told that polls."""
    query = f"account=alice{f'&since={since}' if since else ''}"
    return json.loads(release.url(f"{release.address('tidings-gateway')}/jmap/changes?{query}"))
