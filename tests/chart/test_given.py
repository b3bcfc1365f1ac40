"""What people put into the objects of a chart: one way for every workload, and nonsense is refused."""

from __future__ import annotations

from typing import Any

import helm_python as helm
import kubernetes_validate  # type: ignore[import-untyped]  # it has annotations, and no py.typed
import pytest

from tests.support.chart import RABBITMQ, TIDINGS, UMBRELLA, files, load, render
from tests.support.rendered import Object, Rendered

WORKLOADS = [
    ("Deployment", "tidings-gateway"),
    ("StatefulSet", "tidings-publisher"),
    ("StatefulSet", "tidings-rabbitmq"),
]
GIVEN = load(TIDINGS / "ci" / "pods-values.yaml")


def pod(rendered: Rendered, kind: str, name: str) -> Object:
    spec = rendered.get(kind, name)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def through(chart: Any, values: dict[str, Any]) -> Rendered:
    """Schema and templates, as in an installation: Helm takes what is null away first."""
    with helm.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        return Rendered.of_files(files(loaded, values))


@pytest.mark.parametrize(("kind", "name"), WORKLOADS, ids=lambda each: each)
def test_every_workload_takes_what_pods_have(kind: str, name: str) -> None:
    spec = pod(render(TIDINGS, GIVEN), kind, name)
    given = GIVEN["gateway"]
    for member in ("hostAliases", "dnsPolicy", "priorityClassName", "runtimeClassName"):
        assert spec[member] == given[member]
    assert spec["dnsConfig"]["nameservers"] == ["192.0.2.53"]
    assert given["extraVolumes"][0] in spec["volumes"]
    assert given["extraVolumeMounts"][0] in spec["containers"][0]["volumeMounts"]
    assert spec["initContainers"][-1]["name"] == "first"
    assert spec["containers"][-1]["name"] == "beside"
    assert spec["imagePullSecrets"][0] == {"name": "mirror"}
    assert spec["containers"][0]["image"].startswith("mirror.example:5000/")


def test_images_come_from_the_registry_of_all_charts() -> None:
    def image(repository: str, registry: str) -> str:
        values = {"global": {"imageRegistry": registry}, "image": {"repository": repository, "tag": "1"}}
        container = pod(render(TIDINGS, values), *WORKLOADS[0])["containers"][0]
        return str(container["image"])

    assert image("mail/tidings", "mirror.example") == "mirror.example/mail/tidings:1"
    assert image("registry.example/mail/tidings", "mirror.example/") == "mirror.example/mail/tidings:1"
    assert image("localhost/tidings", "mirror.example/all") == "mirror.example/all/tidings:1"
    assert image("registry.example/mail/tidings", "") == "registry.example/mail/tidings:1"


def test_a_global_of_a_parent_chart_is_let_be() -> None:
    values = {"global": {"security": {"allowInsecureImages": True}, "imagePullSecrets": ["one"]}}
    spec = pod(through(UMBRELLA, values), *WORKLOADS[2])
    assert spec["imagePullSecrets"] == [{"name": "one"}]
    assert through(TIDINGS, {"global": None})


def test_services_take_what_services_have() -> None:
    rendered = render(TIDINGS, GIVEN)
    for name, number, kind in (("gateway", 30080, "LoadBalancer"), ("publisher", 30081, "NodePort")):
        service = rendered.get("Service", f"tidings-{name}")
        (port,) = service["spec"]["ports"]
        assert (service["spec"]["type"], port["nodePort"], port["appProtocol"]) == (kind, number, "http")
        assert service["spec"]["externalTrafficPolicy"] == "Local"
        assert "example.com/lb" in service["metadata"]["labels"]
    assert rendered.get("Service", "tidings-rabbitmq")["metadata"]["labels"]["example.com/lb"] == "none"
    near: dict[str, Any] = {"service": {"trafficDistribution": "PreferClose"}}
    rendered = render(TIDINGS, {"gateway": near, "publisher": near, "rabbitmq": near})
    for name in ("gateway", "publisher", "rabbitmq"):
        service = rendered.get("Service", f"tidings-{name}")
        assert service["spec"]["trafficDistribution"] == "PreferClose"
        kubernetes_validate.validate(service, "1.32", strict=True)


def test_budgets_say_how_many_stay_or_how_many_go() -> None:
    rendered = render(TIDINGS, GIVEN)
    for name in ("tidings-gateway", "tidings-publisher"):
        spec = rendered.get("PodDisruptionBudget", name)["spec"]
        assert (spec["minAvailable"], "maxUnavailable" in spec) == ("50%", False)
    none = {"gateway": {"replicas": 2, "podDisruptionBudget": {"minAvailable": 0}}}
    assert render(TIDINGS, none).get("PodDisruptionBudget", "tidings-gateway")["spec"]["minAvailable"] == 0


def test_monitors_take_relabelings() -> None:
    monitor = GIVEN["metrics"]["serviceMonitor"]
    values = {"metrics": {"serviceMonitor": monitor}, "rabbitmq": {"metrics": {"serviceMonitor": monitor}}}
    for each in render(TIDINGS, values).of("ServiceMonitor"):
        (endpoint,) = each["spec"]["endpoints"]
        for member in ("scrapeTimeout", "relabelings", "metricRelabelings"):
            assert endpoint[member] == monitor[member]


def test_storages_outside_have_a_way_in() -> None:
    ingress = render(TIDINGS, GIVEN).get("Ingress", "tidings-publisher")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == ("ingest.mail.example", "/v1/changes", "Exact")
    assert path["backend"]["service"] == {"name": "tidings-publisher", "port": {"name": "ingest"}}
    route = render(TIDINGS, load(TIDINGS / "ci" / "ingest-route-values.yaml")).get("HTTPRoute", "tidings-publisher")
    ours, further = route["spec"]["rules"]
    assert ours["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    assert ours["backendRefs"] == [{"name": "tidings-publisher", "port": 8081}]
    assert ours["filters"][0]["type"] == "RequestHeaderModifier"
    assert further["backendRefs"] == [{"name": "status", "port": 80}]


def test_paths_of_ones_own_take_the_place_of_the_gateways() -> None:
    (rule,) = render(TIDINGS, GIVEN).get("Ingress", "tidings-gateway")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/status", "/mail/jmap"]
    values = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "paths": ["/mail/jmap"]}}
    (rule,) = render(TIDINGS, values).get("HTTPRoute", "tidings-gateway")["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == ["/mail/jmap"]


def test_groups_keep_their_paths_beside_ones_own() -> None:
    groups = {"groups": 2, "settings": {"publicUrl": "https://push.mail.example"}}
    values = {"gateway": groups, "ingress": {"enabled": True, "hosts": ["push.mail.example"], "paths": ["/mail/jmap"]}}
    (rule,) = render(TIDINGS, values).get("Ingress", "tidings-gateway")["spec"]["rules"]
    assert {path["path"] for path in rule["http"]["paths"]} == {"/mail/jmap", "/g/0", "/g/1"}


def test_further_objects_are_yaml_or_templates() -> None:
    data = {"text": "{{ $labels.pod }} is down"}
    named: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": data}
    text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ include "tidings.fullname" . }}-two}\n'
    rendered = render(TIDINGS, {"extraObjects": [named, text]})
    assert rendered.get("ConfigMap", "one") == named
    assert rendered.get("ConfigMap", "tidings-two")


def test_null_takes_the_label_of_dashboards_away() -> None:
    dashboards = {"enabled": True, "labels": {"grafana_dashboard": None}}
    found = through(TIDINGS, {"metrics": {"dashboards": dashboards}}).of("ConfigMap")
    assert found
    assert all("grafana_dashboard" not in each["metadata"]["labels"] for each in found)


def test_null_is_one_group_of_gateways() -> None:
    rendered = through(TIDINGS, {"gateway": {"groups": None}})
    assert [each["metadata"]["name"] for each in rendered.of("Deployment")] == ["tidings-gateway"]
    assert "port-forward deployment/tidings-gateway 9090" in rendered.notes


def test_openshift_chooses_the_users() -> None:
    nobody = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    values = {"podSecurityContext": nobody, "rabbitmq": {"podSecurityContext": nobody}}
    rendered = through(UMBRELLA, {"tidings": values})
    for kind, name in WORKLOADS:
        context = pod(rendered, kind, name)["securityContext"]
        assert {member: context.get(member) for member in nobody} == nobody
        assert context["runAsNonRoot"] is True


@pytest.mark.parametrize(
    "values",
    [
        {"gateway": {"podDisruptionBudget": {"maxUnavailable": "banana"}}},
        {"gateway": {"podDisruptionBudget": {"maxUnavailable": "101%"}}},
        {"publisher": {"podDisruptionBudget": {"minAvailable": -1}}},
        {"gateway": {"service": {"nodePort": 70000}}},
        {"gateway": {"service": {"externalTrafficPolicy": "Nearby"}}},
        {"gateway": {"extraVolumeMounts": [{"name": "a"}]}},
        {"gateway": {"sidecars": [{"name": "a"}]}},
        {"publisher": {"hostAliases": [{"ip": "192.0.2.1"}]}},
        {"publisher": {"dnsConfig": {"servers": []}}},
        {"rabbitmq": {"dnsPolicy": "Cluster"}},
        {"ingress": {"pathType": "Regex"}},
        {"ingress": {"paths": ["jmap"]}},
        {"metrics": {"serviceMonitor": {"scrapeTimeout": "soon"}}},
        {"extraObjects": [1]},
    ],
    ids=str,
)
def test_nonsense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmValuesError):
        render(TIDINGS, values)


@pytest.mark.parametrize(
    ("chart", "path"),
    [
        (TIDINGS, "gateway"),
        (TIDINGS, "gateway.service"),
        (TIDINGS, "gateway.settings"),
        (TIDINGS, "metrics.serviceMonitor"),
        (TIDINGS, "auth"),
        (RABBITMQ, "persistence"),
    ],
    ids=lambda each: getattr(each, "name", each),
)
def test_a_section_that_is_taken_away_is_named(chart: Any, path: str) -> None:
    values: Any = None
    for step in reversed(path.split(".")):
        values = {step: values}
    with pytest.raises(helm.HelmValuesError, match=rf"missing property '{path.rpartition('.')[2]}'"):
        through(chart, values)


def test_a_section_that_is_taken_away_through_a_parent_chart_is_named() -> None:
    with pytest.raises(helm.HelmValuesError, match="gateway"):
        through(UMBRELLA, {"tidings": {"gateway": None}})
    with pytest.raises(helm.HelmValuesError, match="persistence"):
        through(UMBRELLA, {"tidings": {"rabbitmq": {"persistence": None}}})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"gateway": {"extraEnv": [{"name": "TIDINGS_PORT", "value": "1"}]}}, "gateway.extraEnv sets TIDINGS_PORT"),
        (
            {"publisher": {"settings": {"spoolBytes": 1}, "extraEnv": [{"name": "TIDINGS_SPOOL_BYTES", "value": "2"}]}},
            "publisher.extraEnv sets TIDINGS_SPOOL_BYTES",
        ),
        (
            {"rabbitmq": {"extraEnv": [{"name": "RABBITMQ_LOGS", "value": "-"}]}},
            "rabbitmq.extraEnv sets RABBITMQ_LOGS",
        ),
        ({"gateway": {"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}}, "extraEnv sets A"),
        ({"gateway": {"service": {"nodePort": 30080}}}, "service.nodePort needs service.type NodePort"),
        ({"publisher": {"ingress": {"enabled": True}}}, "publisher.ingress.enabled needs publisher.ingress.hosts"),
        ({"publisher": {"httpRoute": {"enabled": True}}}, "publisher.httpRoute.enabled needs"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_contradicts_itself_is_refused_with_a_reason(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=reason):
        render(TIDINGS, values)
