"""Releases as Helm makes them: installed, upgraded, and what stays."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import helm_python as helm
import pytest

from tests.support.chart import NAMESPACE, RELEASE, UMBRELLA, load
from tests.support.kubernetes import Object, Store, api_server

SECRETS = f"v1/{NAMESPACE}/secrets"


@dataclass
class Cluster:
    """Helm, and the objects it has made."""

    config: helm.Config
    store: Store

    def secret(self, name: str) -> dict[str, str]:
        data: dict[str, str] = self.store.objects[SECRETS, name]["data"]
        return data

    def workload(self, plural: str, name: str) -> Object:
        return self.store.objects[f"apps/v1/{NAMESPACE}/{plural}", name]


def kubeconfig(server: str) -> str:
    return f"""
apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: "{server}"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test, namespace: {NAMESPACE}}}}}]
users: [{{name: test, user: {{}}}}]
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    store = Store()
    with (
        api_server(store) as url,
        # Helm's own records stay in its memory: it would send them as protobuf.
        helm.Config(kubeconfig_content=kubeconfig(url), namespace=NAMESPACE, storage_driver="memory") as config,
    ):
        yield Cluster(config, store)


def install(cluster: Cluster, *, values: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(cluster.config.install(UMBRELLA, RELEASE, values or {}, namespace=NAMESPACE))


def test_credentials_are_random_and_stay_over_upgrades(cluster: Cluster) -> None:
    install(cluster)
    names = ("tidings", "tidings-rabbitmq")
    first = {name: dict(cluster.secret(name)) for name in names}
    assert len(b64decode(first["tidings"]["ingest-tokens"])) == 40
    assert len(b64decode(first["tidings-rabbitmq"]["password"])) == 40
    assert first["tidings-rabbitmq"]["password"] != first["tidings-rabbitmq"]["erlang-cookie"]
    pods = cluster.workload("deployments", "tidings-gateway")["spec"]["template"]

    for replicas in (1, 2):
        cluster.config.upgrade(UMBRELLA, RELEASE, {"tidings": {"gateway": {"replicas": replicas}}}, namespace=NAMESPACE)
        assert {name: dict(cluster.secret(name)) for name in names} == first
        # What has not changed restarts nothing.
        assert cluster.workload("deployments", "tidings-gateway")["spec"]["template"] == pods
    assert cluster.workload("deployments", "tidings-gateway")["spec"]["replicas"] == 2


def test_a_secret_that_an_upgrade_needs_is_added_to_those_that_are_there(cluster: Cluster) -> None:
    install(cluster)
    before = dict(cluster.secret("tidings"))
    pods = cluster.workload("deployments", "tidings-gateway")["spec"]["template"]
    cluster.config.upgrade(UMBRELLA, RELEASE, {"tidings": {"auth": {"mode": "jwt"}}}, namespace=NAMESPACE)
    after = cluster.secret("tidings")
    assert after["ingest-tokens"] == before["ingest-tokens"]
    assert len(b64decode(after["jwt-secret"])) == 64
    assert cluster.workload("deployments", "tidings-gateway")["spec"]["template"] != pods


def test_credentials_outlive_an_uninstall_as_the_volumes_do(cluster: Cluster) -> None:
    install(cluster)
    before = dict(cluster.secret("tidings-rabbitmq"))
    cluster.config.uninstall(RELEASE)
    assert {where for where, _ in cluster.store.objects} == {SECRETS}
    install(cluster)
    assert cluster.secret("tidings-rabbitmq") == before


def test_production_makes_no_secret_of_its_own(cluster: Cluster) -> None:
    install(cluster, values=load(UMBRELLA / "values-production.yaml"))
    assert not [name for where, name in cluster.store.objects if where == SECRETS]


def test_notes_are_printed(cluster: Cluster) -> None:
    assert "http://127.0.0.1:8082" in str(install(cluster))
