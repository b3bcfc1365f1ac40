"""The pods of a release as processes: started as their specs say, their probes asked as a kubelet asks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import helm_python as helm
import pytest

from tests.support.chart import TIDINGS, UMBRELLA, load
from tests.support.kubernetes import Cluster, cluster
from tests.support.pods import Pod, PodCluster, running
from tests.support.rendered import RELEASE
from tests.support.waiting import patient


@pytest.fixture(scope="module")
def api() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def dev(api: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodCluster]:
    """What `helm install tidings deploy/helm --values deploy/helm/values-dev.yaml` starts."""
    installed = api.install(UMBRELLA, load(UMBRELLA / "values-dev.yaml"))
    with running(installed, tmp_path_factory.mktemp("pods")) as pods:
        api.store.on_pod = pods.run_to_the_end
        yield pods


def test_every_pod_becomes_ready_by_its_own_probes(dev: PodCluster) -> None:
    assert sorted(dev.pods) == ["tidings-gateway-0", "tidings-publisher-0", "tidings-rabbitmq-0"]
    dev.wait_ready()


def test_helm_test_sends_a_change_and_sees_it_arrive(api: Cluster, dev: PodCluster) -> None:
    api.config.test(RELEASE, timeout=round(patient(120)))
    assert "told after" in dev.pods["tidings-check"].containers["check"].log()


def test_the_lines_that_are_printed_lead_to_pages(dev: PodCluster) -> None:
    """A forwarded port ends at the pod's own loopback; a Service's port is that of its pods first."""
    notes = dev.rendered.notes
    lines = re.findall(r"port-forward (\w+)/([\w-]+) (\d+):(\d+)", notes)
    assert len(lines) == 4
    for kind, name, local, port in lines:
        assert f"http://127.0.0.1:{local}" in notes or local == "8080"
        pod, number = target(dev, kind, name, int(port))
        path = "/.well-known/jmap?account=alice" if local == "8080" else "/"
        (container, *_) = pod.containers.values()
        assert container.get(f"http://127.0.0.1:{number}{path}") is None


UPGRADE = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=120)
connection.request("GET", "/jmap/ws?account=alice", headers={
    "Origin": sys.argv[1], "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "jmap",
})
print(connection.getresponse().status)
"""


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8082", "101"), ("http://localhost:8082", "101"), ("http://a.example", "403")],
)
def test_the_page_of_the_forwarded_webmail_may_connect(dev: PodCluster, origin: str, status: str) -> None:
    gateway = dev.pods["tidings-gateway-0"].containers["gateway"]
    assert gateway.output([sys.executable, "-c", UPGRADE, origin]).strip() == status


def target(cluster: PodCluster, kind: str, name: str, port: int) -> tuple[Pod, int]:
    """Where kubectl forwards to."""
    if kind == "service":
        spec = cluster.rendered.get("Service", name)["spec"]
        (pod,) = (pod for pod in cluster.pods.values() if spec["selector"].items() <= pod.labels.items())
        (named,) = (each["targetPort"] for each in spec["ports"] if each["port"] == port)
        ports = [port for each in pod.spec["containers"] for port in each["ports"]]
        return pod, next(each["containerPort"] for each in ports if each["name"] == named)
    assert cluster.rendered.get({"deployment": "Deployment", "statefulset": "StatefulSet"}[kind], name)
    return cluster.pods[f"{name}-0"], port


def test_helm_test_fails_when_nothing_arrives(api: Cluster, dev: PodCluster) -> None:
    """Without its gateway an installation has a publisher that takes the change, and nobody who is told."""
    dev.pods["tidings-gateway-0"].close()
    with pytest.raises(helm.HelmReleaseError, match="tidings-check"):
        api.config.test(RELEASE, timeout=round(patient(120)))


LARGE = {
    "rabbitmq": {"replicas": 3},
    "gateway": {"replicas": 2},
    "publisher": {"replicas": 2},
    "auth": {"issuer": "https://login.example", "audience": "push"},
}


def test_several_of_each_with_tokens_and_three_copies_of_the_log(tmp_path: Path) -> None:
    """A stream has its copies on the nodes that there are when it is declared, so none is ready before all have met."""
    with cluster() as api, running(api.install(TIDINGS, LARGE), tmp_path) as pods:
        api.store.on_pod = pods.run_to_the_end
        pods.wait_ready()
        api.config.test(RELEASE, timeout=round(patient(120)))
        node = pods.pods["tidings-rabbitmq-1"].containers["rabbitmq"]
        for shard in (0, 15):
            status = node.output(["rabbitmq-streams", "-q", "stream_status", f"tidings.v1.16.{shard}"])
            assert status.count("rabbit@tidings-rabbitmq-") == 3
        assert node.execute(node.spec["lifecycle"]["preStop"]["exec"]["command"]) is None
