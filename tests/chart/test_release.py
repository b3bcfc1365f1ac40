"""Releases as Helm makes them: installed, upgraded, and what stays."""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import helm_python as helm
import pytest

from tests.support.chart import UMBRELLA, load, merged
from tests.support.kubernetes import Cluster
from tests.support.kubernetes import cluster as started
from tests.support.rendered import NAMESPACE, RELEASE

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


THREE = {"tidings": {"rabbitmq": {"replicas": 3}}}
ONE = {"tidings": {"rabbitmq": {"replicas": 1}}}
STATEFUL_SETS = f"apps/v1/{NAMESPACE}/statefulsets"


@pytest.mark.parametrize(
    ("before", "after", "told"), [({}, THREE, "has 1 node\\."), (THREE, ONE, "has 3 nodes\\.")], ids=["more", "fewer"]
)
def test_another_number_of_nodes_is_refused_on_a_broker_that_is_there(
    cluster: Cluster, before: dict[str, Any], after: dict[str, Any], told: str
) -> None:
    cluster.install(UMBRELLA, before)
    objects = copy.deepcopy(cluster.store.objects)
    with pytest.raises(helm.HelmError, match=told) as caught:
        cluster.upgrade(UMBRELLA, after)
    assert "rabbitmq.fullnameOverride" in str(caught.value)
    assert cluster.store.objects == objects
    cluster.upgrade(UMBRELLA, before)


def test_the_way_round_is_a_new_broker_beside_it(cluster: Cluster) -> None:
    cluster.install(UMBRELLA)
    cluster.upgrade(UMBRELLA, {"tidings": {"rabbitmq": {"replicas": 3, "fullnameOverride": "tidings-log"}}})
    assert cluster.store.objects[STATEFUL_SETS, "tidings-log"]["spec"]["replicas"] == 3
    assert (STATEFUL_SETS, "tidings-rabbitmq") not in cluster.store.objects
    (container,) = cluster.gateway()["spec"]["template"]["spec"]["containers"]
    assert "'tidings-log'" in str(container["env"])


PUBLISHER = (STATEFUL_SETS, "tidings-publisher")
GATEWAYS = (f"apps/v1/{NAMESPACE}/deployments", "tidings-gateway")


def shards(cluster: Cluster) -> set[str]:
    """What gateways and publishers are told."""
    pods = [cluster.store.objects[each]["spec"]["template"] for each in (GATEWAYS, PUBLISHER)]
    told = [entry for pod in pods for container in pod["spec"]["containers"] for entry in container["env"]]
    return {entry["value"] for entry in told if entry["name"] == "TIDINGS_SHARDS"}


def test_an_installation_keeps_its_number_of_shards(cluster: Cluster) -> None:
    """Another number is another log. The one that is there may be from a chart with another default."""
    cluster.install(UMBRELLA, {"tidings": {"shards": 64}})
    cluster.upgrade(UMBRELLA, {"tidings": {"shards": None}})
    assert shards(cluster) == {"64"}
    cluster.upgrade(UMBRELLA, {"tidings": {"shards": 16}})
    cluster.upgrade(UMBRELLA, {"tidings": {"shards": None}})
    assert shards(cluster) == {"16"}


def test_gateways_that_are_put_into_groups_keep_their_number_of_shards(cluster: Cluster) -> None:
    groups = {"gateway": {"groups": 4, "settings": {"publicUrl": "https://push.mail.example"}}}
    cluster.install(UMBRELLA, {"tidings": {"shards": 64}})
    cluster.upgrade(UMBRELLA, {"tidings": {"shards": None, **groups}})
    told = str(cluster.store.objects[f"apps/v1/{NAMESPACE}/deployments", "tidings-gateway-0"])
    assert "{'name': 'TIDINGS_SHARDS', 'value': '64'}" in told
    cluster.upgrade(UMBRELLA, {"tidings": {"shards": None, "gateway": {"groups": 1}}})
    assert shards(cluster) == {"64"}


def test_a_new_installation_has_16_shards(cluster: Cluster) -> None:
    cluster.install(UMBRELLA)
    assert shards(cluster) == {"16"}


def test_an_upgrade_that_cannot_see_the_number_of_shards_changes_nothing(cluster: Cluster) -> None:
    cluster.install(UMBRELLA, {"tidings": {"shards": 64}})
    del cluster.store.objects[GATEWAYS]
    objects = copy.deepcopy(cluster.store.objects)
    with pytest.raises(helm.HelmError, match="tidings-gateway") as caught:
        cluster.upgrade(UMBRELLA, {"tidings": {"shards": None}})
    assert "Set shards to that number" in str(caught.value)
    assert cluster.store.objects == objects
    cluster.upgrade(UMBRELLA, {"tidings": {"shards": 64}})
    assert shards(cluster) == {"64"}


def test_the_volumes_that_are_left_tell_how_many_nodes_there_were(cluster: Cluster) -> None:
    cluster.put("persistentvolumeclaims", "data-tidings-rabbitmq-0")
    with pytest.raises(helm.HelmError, match="has 1 node\\."):
        cluster.install(UMBRELLA, THREE)
    cluster.install(UMBRELLA)
    cluster.store.objects[STATEFUL_SETS, "tidings-rabbitmq"]["spec"]["replicas"] = 0
    with pytest.raises(helm.HelmError, match="has 1 node\\."):
        cluster.upgrade(UMBRELLA, THREE)


PRODUCTION = load(UMBRELLA / "values-production.yaml")
LONG = "0123456789abcdef" * 2


GUESSABLE = [
    ("tidings-jwt", "jwt-secret", LONG[1:], "in the Secret tidings-jwt: 31 bytes can be guessed, use at least 32"),
    ("tidings-jwt", "jwt-secret", f"{LONG}\n", "jwt-secret in the Secret tidings-jwt ends with a newline"),
    ("tidings-ingest", "ingest-tokens", "short", "5 bytes can be guessed, use at least 16"),
    ("tidings-ingest", "ingest-tokens", f"{LONG}, short", "5 bytes can be guessed"),
    ("tidings-ingest", "ingest-tokens", f"{LONG},", "0 bytes can be guessed"),
    ("tidings-ingest", "ingest-tokens", f"{LONG},{LONG}\n", "ends with a newline"),
    ("tidings-admin", "admin-token", LONG[:15], "admin-token in the Secret tidings-admin: 15 bytes"),
]


def test_secrets_that_can_be_guessed_are_refused_where_they_can_be_seen(cluster: Cluster) -> None:
    def put(name: str, key: str, value: str) -> None:
        cluster.put("secrets", name, data={key: b64encode(value.encode()).decode()})

    values = merged(PRODUCTION, {"tidings": {"admin": {"existingSecret": "tidings-admin"}}})
    for name, key in dict.fromkeys((name, key) for name, key, _, _ in GUESSABLE):
        put(name, key, LONG)
    for name, key, value, reason in GUESSABLE:
        put(name, key, value)
        with pytest.raises(helm.HelmError, match=reason) as caught:
            cluster.install(UMBRELLA, values)
        assert value.strip() not in str(caught.value)
        put(name, key, LONG)
    for variable in ("TIDINGS_JWT_SECRET", "TIDINGS_INGEST_TOKENS", "TIDINGS_ADMIN_TOKEN"):
        for component in ("gateway", "publisher"):
            given = {"tidings": {component: {"extraEnv": [{"name": variable, "value": "short"}]}}}
            with pytest.raises(helm.HelmError, match=f"{variable} in extraEnv: 5 bytes can be guessed"):
                cluster.install(UMBRELLA, merged(values, given))
    long = {"gateway": {"extraEnv": [{"name": "TIDINGS_ADMIN_TOKEN", "value": LONG}, {"name": "OTHER", "value": "x"}]}}
    cluster.install(UMBRELLA, merged(PRODUCTION, {"tidings": long}))


def test_production_makes_no_secret_of_its_own(cluster: Cluster) -> None:
    cluster.install(UMBRELLA, load(UMBRELLA / "values-production.yaml"))
    assert not [name for where, name in cluster.store.objects if where == SECRETS]
