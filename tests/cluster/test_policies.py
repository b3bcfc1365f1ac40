"""The network policies of the charts, where they are enforced."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster.addons import enforce
from tests.cluster.images import TAG
from tests.cluster.kube import CommandError, Kube
from tests.cluster.release import Release
from tests.support.chart import TIDINGS

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
DENY: dict[str, object] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "nobody"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
"""What a namespace has where everything has to be allowed."""


@pytest.fixture(scope="module")
def walled(kube: Kube) -> Iterator[Release]:
    """A release where only what a policy lets through reaches pods, and a pod of somebody else's."""
    enforce(kube)
    release = Release(kube, "walled")
    try:
        kube.apply({**DENY, "metadata": {"name": "nobody", "namespace": "walled"}})
        release.helm("install", TIDINGS)
        release.rolled_out()
        sleeping = ("--restart=Never", f"--image={TAG}", "--command", "--", "sleep", "infinity")
        kube.kubectl("run", "stranger", "--namespace=default", *sleeping)
        kube.kubectl("wait", "pod/stranger", "--namespace=default", "--for=condition=Ready", "--timeout=60s")
        yield release
    finally:
        kube.try_("kubectl", "delete", "pod/stranger", "--namespace=default", "--grace-period=1")
        kube.try_("helm", "uninstall", "tidings", "--namespace=walled")
        release.close()


def reaches(release: Release, component: str, port: int) -> bool:
    """Whether a pod of another namespace can connect to a port of a pod of the release."""
    address = release.pods(component)[0]["status"]["podIP"]
    inside = ("exec", "stranger", "--namespace=default", "--", "python", "-c", CONNECT, address, str(port))
    try:
        release.kube.kubectl(*inside)
    except CommandError:
        return False
    return True


def test_the_release_works_behind_its_policies(walled: Release) -> None:
    assert "Succeeded" in walled.helm("test", None, "--logs")


def test_strangers_reach_what_is_for_everybody_and_nothing_else(walled: Release) -> None:
    walled.until(lambda: not reaches(walled, "log", 5672), "the policies are enforced")
    open_to_all = {("gateway", 8080), ("gateway", 9091), ("publisher", 8081), ("publisher", 9191), ("log", 15692)}
    closed = {("log", 5672), ("log", 4369), ("log", 25672), ("gateway", 9090), ("publisher", 9190)}
    assert {each for each in open_to_all | closed if reaches(walled, *each)} == open_to_all


def test_peers_that_are_named_are_the_only_ones(walled: Release) -> None:
    """As an installation has it behind an ingress controller."""
    peers = json.dumps([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}])
    nobody = json.dumps([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nowhere"}}}])
    given = ("--set-json", f"networkPolicy.clientsFrom={peers}", "--set-json", f"networkPolicy.storagesFrom={nobody}")
    walled.helm("upgrade", TIDINGS, *given)
    walled.until(lambda: not reaches(walled, "publisher", 8081), "storages are shut out")
    assert reaches(walled, "gateway", 8080)
    assert "Succeeded" in walled.helm("test", None, "--logs")
