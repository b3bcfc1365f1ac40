"""Releases as Helm makes them: installed, upgraded, and what stays."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator

import pytest

from tests.support.chart import NAMESPACE, RELEASE, UMBRELLA, load
from tests.support.kubernetes import Cluster
from tests.support.kubernetes import cluster as started

SECRETS = f"v1/{NAMESPACE}/secrets"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with started() as running:
        yield running


def test_credentials_are_random_and_stay_over_upgrades(cluster: Cluster) -> None:
    cluster.install(UMBRELLA)
    names = ("tidings", "tidings-rabbitmq")
    first = {name: cluster.secret(name) for name in names}
    assert len(b64decode(first["tidings"]["ingest-tokens"])) == 40
    assert len(b64decode(first["tidings-rabbitmq"]["password"])) == 40
    assert first["tidings-rabbitmq"]["password"] != first["tidings-rabbitmq"]["erlang-cookie"]
    pods = cluster.gateway()["spec"]["template"]

    for replicas in (1, 2):
        cluster.upgrade(UMBRELLA, {"tidings": {"gateway": {"replicas": replicas}}})
        assert {name: cluster.secret(name) for name in names} == first
        # What has not changed restarts nothing.
        assert cluster.gateway()["spec"]["template"] == pods
    assert cluster.gateway()["spec"]["replicas"] == 2


def test_a_secret_that_an_upgrade_needs_is_added_to_those_that_are_there(cluster: Cluster) -> None:
    cluster.install(UMBRELLA)
    before, pods = cluster.secret("tidings"), cluster.gateway()["spec"]["template"]
    cluster.upgrade(UMBRELLA, {"tidings": {"auth": {"mode": "jwt"}}})
    after = cluster.secret("tidings")
    assert after["ingest-tokens"] == before["ingest-tokens"]
    assert len(b64decode(after["jwt-secret"])) == 64
    assert cluster.gateway()["spec"]["template"] != pods


def test_credentials_outlive_an_uninstall_as_the_volumes_do(cluster: Cluster) -> None:
    cluster.install(UMBRELLA)
    before = cluster.secret("tidings-rabbitmq")
    cluster.config.uninstall(RELEASE)
    assert {where for where, _ in cluster.store.objects} == {SECRETS}
    cluster.install(UMBRELLA)
    assert cluster.secret("tidings-rabbitmq") == before


def test_production_makes_no_secret_of_its_own(cluster: Cluster) -> None:
    cluster.install(UMBRELLA, load(UMBRELLA / "values-production.yaml"))
    assert not [name for where, name in cluster.store.objects if where == SECRETS]
