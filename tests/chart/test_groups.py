"""Groups of gateways: each has objects of its own, a way that leads to it, and no other's pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import definitions
from tests.support.chart import TIDINGS, load, render
from tests.support.rendered import Object, Rendered
from tidings.gateway.codecs.groups import Groups

COUNT = 4
NAMES = [f"tidings-gateway-{number}" for number in range(COUNT)]
PLAIN = ["/jmap", "/.well-known/jmap"]
VALUES = load(TIDINGS / "ci" / "groups-values.yaml")
GROUPS = {"gateway": VALUES["gateway"]}
ROUTE: dict[str, Any] = {
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["push.example"]}
}


def names(rendered: Rendered, kind: str, component: str = "gateway") -> list[str]:
    of = (each["metadata"] for each in rendered.of(kind))
    return [each["name"] for each in of if each["labels"].get("app.kubernetes.io/component") == component]


def pods_of(rendered: Rendered, service: str) -> list[str]:
    """The workloads whose pods a Service leads to."""
    selector: dict[str, str] = rendered.get("Service", service)["spec"]["selector"]
    return [name for name, pod in rendered.pods() if selector.items() <= pod["metadata"]["labels"].items()]


def test_each_group_has_a_deployment_an_autoscaler_and_a_budget_of_its_own() -> None:
    rendered = render(TIDINGS, VALUES)
    for kind in ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert names(rendered, kind) == NAMES
    for number, name in enumerate(NAMES):
        deployment = rendered.get("Deployment", name)["spec"]
        selector = deployment["selector"]["matchLabels"]
        assert selector["tidings/group"] == str(number)
        assert rendered.get("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == selector
        assert rendered.get("HorizontalPodAutoscaler", name)["spec"]["scaleTargetRef"]["name"] == name
        for spread in deployment["template"]["spec"]["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"] == selector
        (container,) = deployment["template"]["spec"]["containers"]
        assert {"name": "TIDINGS_GROUPS", "value": str(COUNT)} in container["env"]


def test_one_service_leads_to_all_and_one_to_each_group() -> None:
    rendered = render(TIDINGS, VALUES, {"gateway": {"service": {"type": "LoadBalancer"}}})
    assert pods_of(rendered, "tidings-gateway") == [f"Deployment {name}" for name in NAMES]
    assert rendered.get("Service", "tidings-gateway")["spec"]["type"] == "LoadBalancer"
    for name in NAMES:
        assert pods_of(rendered, name) == [f"Deployment {name}"]
        assert rendered.get("Service", name)["spec"]["type"] == "ClusterIP"
    assert pods_of(rendered, "tidings-metrics")[:COUNT] == [f"Deployment {name}" for name in NAMES]


def ways(rendered: Rendered) -> dict[str, str]:
    """The Service that each path leads to."""
    found: dict[str, str] = {}
    for ingress in rendered.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            given = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
            assert not found or given == found
            found = given
            assert {path["pathType"] for path in rule["http"]["paths"]} == {"Prefix"}
    for route in rendered.of("HTTPRoute"):
        (rule,) = route["spec"]["rules"]
        (backend,) = rule["backendRefs"]
        found |= {match["path"]["value"]: backend["name"] for match in rule["matches"]}
        assert {match["path"]["type"] for match in rule["matches"]} == {"PathPrefix"}
    return found


@pytest.mark.parametrize("way", [{}, {"ingress": {"enabled": False}, **ROUTE}], ids=["ingress", "gateway api"])
def test_where_a_session_leads_there_is_the_group(way: Object) -> None:
    rendered = render(TIDINGS, VALUES, way)
    led = ways(rendered)
    groups = Groups(COUNT, VALUES["shards"])
    for account in ("alice", "bob", "carol", "dave", "erin"):
        assert led[groups.base("", account)] == f"tidings-gateway-{groups.of(account)}"
    # Who comes for a group that is no more is served by any.
    assert {path: led[path] for path in (*PLAIN, "/g")} == dict.fromkeys((*PLAIN, "/g"), "tidings-gateway")
    assert len(led) == len(PLAIN) + 1 + COUNT


def test_more_groups_than_a_route_has_rules_are_led_to() -> None:
    many = {"shards": 64, "gateway": {"groups": 32}, "ingress": {"enabled": False}}
    rendered = render(TIDINGS, VALUES, many, ROUTE)
    for route in rendered.of("HTTPRoute"):
        definitions.validate(route)
    assert len(ways(rendered)) == len(PLAIN) + 1 + 32


@pytest.mark.parametrize("way", [{"ingress": {"enabled": True, "hosts": ["push.example"]}}, ROUTE], ids=list)
def test_one_group_is_what_gateways_are_without_groups(way: Object) -> None:
    rendered = render(TIDINGS, way, {"gateway": {"groups": 1, "replicas": 2}})
    for kind in ("Deployment", "PodDisruptionBudget", "Service"):
        assert names(rendered, kind) == ["tidings-gateway"]
    assert ways(rendered) == dict.fromkeys(PLAIN, "tidings-gateway")
    template = rendered.get("Deployment", "tidings-gateway")["spec"]["template"]
    assert "tidings/group" not in template["metadata"]["labels"]
    (container,) = template["spec"]["containers"]
    assert "TIDINGS_GROUPS" not in {variable["name"] for variable in container["env"]}


def test_metrics_tell_groups_apart_and_alerts_need_not_know() -> None:
    (monitor,) = render(TIDINGS, VALUES).of("ServiceMonitor")
    assert monitor["spec"]["podTargetLabels"] == ["app.kubernetes.io/component", "tidings/group"]
    (monitor,) = render(TIDINGS, {"metrics": {"serviceMonitor": {"enabled": True}}}).of("ServiceMonitor")
    assert monitor["spec"]["podTargetLabels"] == ["app.kubernetes.io/component"]


def test_notes_name_every_deployment() -> None:
    notes = render(TIDINGS, VALUES).notes
    assert all(f"deployment/{name}\n" in notes for name in NAMES)
    assert "port-forward deployment/tidings-gateway-0 9090:9090" in notes
    assert "deployment/tidings-gateway\n" in render(TIDINGS).notes


def test_another_number_of_groups_changes_no_selector() -> None:
    few, many = (render(TIDINGS, VALUES, {"gateway": {"groups": count}}) for count in (COUNT, 2 * COUNT))
    for name in NAMES:
        # What a Deployment selects cannot be changed: it would have to be deleted first, and its pods with it.
        assert few.get("Deployment", name)["spec"]["selector"] == many.get("Deployment", name)["spec"]["selector"]
