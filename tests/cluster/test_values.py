"""Every file of values, installed where the restricted Pod Security Standard is enforced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.kube import Kube, Object
from tests.cluster.release import Release
from tests.support.chart import VARIANTS
from tests.support.definitions import definition_files

NEEDED: list[Object] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}},
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000},
    {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "runsc"},
]
"""What the files name that every such cluster has."""
ELSEWHERE = {
    "values-million.yaml",
    "values-production.yaml",
    "tidings/everything-set-values.yaml",
    "tidings/external-operator-values.yaml",
    "tidings/external-url-values.yaml",
    "tidings/pods-values.yaml",
    "tidings/sources-values.yaml",
    "tidings/upstream-values.yaml",
    "rabbitmq/existing-secret-values.yaml",
}
"""Those whose pods need what is not here: brokers, registries, mail servers, machines of a kind. They are admitted."""


@pytest.fixture(scope="module")
def cluster(kube: Kube) -> Kube:
    """The cluster, with the definitions of the custom resources that charts make."""
    kube.apply(*NEEDED)
    paths = definition_files("monitoring.coreos.com", "gateway.networking.k8s.io")
    kube.kubectl("apply", "--server-side", *(f"--filename={path}" for path in paths))
    return kube


@pytest.fixture
def release(cluster: Kube, request: pytest.FixtureRequest) -> Iterator[Release]:
    name = request.node.callspec.params["variant"]
    release = Release(cluster, name.removesuffix(".yaml").replace("/", "-"))
    try:
        # The admin token that webmail-values.yaml names.
        release.run("kubectl create secret generic admin --from-literal=admin-token=0123456789abcdef0123")
        yield release
    finally:
        release.kube.try_("helm", "uninstall", "tidings", f"--namespace={release.namespace}")
        release.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_pods_are_admitted_and_become_ready(release: Release, variant: str) -> None:
    chart, values = VARIANTS[variant]
    said = release.helm("install", chart, values=values)
    assert "Warning" not in said
    release.until(release.settled, "all pods made")
    if variant not in ELSEWHERE:
        release.until(release.ready, "all pods ready")
        assert "Failed" not in release.helm("test", None, "--logs")
