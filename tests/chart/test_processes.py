"""The pods of a release as processes: started as their specs say, their probes asked as a kubelet asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import helm_python as helm
import pytest

from tests.support.chart import RABBITMQ, RELEASE, UMBRELLA, load, render
from tests.support.kubernetes import Cluster, cluster
from tests.support.pods import Pod, PodCluster, running


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
    for pod in dev.pods.values():
        pod.wait_ready()


def test_helm_test_sends_a_change_and_sees_it_arrive(api: Cluster, dev: PodCluster) -> None:
    api.config.test(RELEASE, timeout=120)
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
        api.config.test(RELEASE, timeout=120)


def test_three_nodes_of_the_broker_find_each_other(tmp_path: Path) -> None:
    """None is ready before all have met: a stream has a copy on the nodes that there are when it is declared."""
    rendered = render(RABBITMQ, {"replicas": 3})
    with running(rendered, tmp_path) as cluster:
        for pod in cluster.pods.values():
            pod.wait_ready()
        node = cluster.pods["tidings-rabbitmq-1"].containers["rabbitmq"]
        assert node.execute(["rabbitmqctl", "-q", "await_online_nodes", "3", "-t", "1"]) is None
        declare = (
            'rabbit_amqqueue:declare(rabbit_misc:r(<<"/">>, queue, <<"s">>), true, false,'
            ' [{<<"x-queue-type">>, longstr, <<"stream">>}], none, <<"test">>), ok.'
        )
        assert node.execute(["rabbitmqctl", "-q", "eval", declare]) is None
        copies = node.output(["rabbitmq-streams", "-q", "stream_status", "s"])
        assert copies.count("rabbit@tidings-rabbitmq-") == 3
