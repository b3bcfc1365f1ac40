"""Every object of every rendering: valid, restricted, and fitting the others."""

from __future__ import annotations

import copy
import re
from functools import cache, reduce
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # it has annotations, and no py.typed
import pytest
import yaml

from tests.support import definitions
from tests.support.chart import RABBITMQ, ROOT, TIDINGS, UMBRELLA, load, render
from tests.support.podsecurity import breaches
from tests.support.rendered import Object, Rendered
from tidings.check.settings import CheckSettings
from tidings.commands.table import COMMANDS
from tidings.gateway.settings import GatewaySettings
from tidings.ops.settings.environment import ENV_PREFIX
from tidings.ops.settings.fields import Settings
from tidings.publisher.settings import PublisherSettings
from tidings.webmail.settings import WebmailSettings

SETTINGS: dict[str, type[Settings]] = {
    "check": CheckSettings,
    "gateway": GatewaySettings,
    "publisher": PublisherSettings,
    "webmail": WebmailSettings,
}
CHARTS = (RABBITMQ, TIDINGS, UMBRELLA)
OLDEST = "1.28"
"""The oldest Kubernetes that is promised."""
UNPUBLISHED = {"rabbitmq.com/v1beta1", "eventing.knative.dev/v1", "dapr.io/v2alpha1"}
"""Groups whose definitions are in no package that can be had."""


# The library parses megabytes of definitions for each object.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


def is_custom(each: Object) -> bool:
    return (each["apiVersion"], each["kind"]) in definitions.SOURCES


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_the_oldest_kubernetes_is_the_one_that_the_docs_promise(chart: Path) -> None:
    assert load(chart / "Chart.yaml")["kubeVersion"] == f">={OLDEST}.0-0"
    assert f"| Kubernetes | {OLDEST} and later |" in (ROOT / "docs" / "compatibility.md").read_text()


@pytest.mark.parametrize("version", [OLDEST, "1.32", "1.34"])
def test_objects_are_valid(rendered: Rendered, version: str) -> None:
    for each in rendered.objects:
        if not is_custom(each):
            kubernetes_validate.validate(each, version, strict=True)


def test_custom_resources_are_valid(rendered: Rendered) -> None:
    for each in filter(is_custom, rendered.objects):
        definitions.validate(each)


@pytest.mark.parametrize(
    ("kind", "path", "wrong"),
    [
        ("ServiceMonitor", ("spec", "endpoints", 0), {"every": "15s"}),
        ("ServiceMonitor", ("spec", "endpoints", 0), {"interval": "often"}),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0), {"expression": "up == 0"}),
        ("HTTPRoute", ("spec", "rules", 0), {"timeouts": {"request": "never"}}),
        ("HTTPRoute", ("spec", "rules", 0, "backendRefs", 0), {"port": "http"}),
    ],
    ids=str,
)
def test_what_custom_resources_may_not_hold_is_noticed(kind: str, path: tuple[Any, ...], wrong: Object) -> None:
    values = (load(TIDINGS / "ci" / f"{name}-values.yaml") for name in ("monitoring", "gateway-api"))
    spoilt = copy.deepcopy(render(TIDINGS, *values).of(kind)[0])
    definitions.validate(spoilt)
    reduce(lambda below, step: below[step], path, spoilt).update(wrong)
    with pytest.raises(jsonschema.ValidationError):
        definitions.validate(spoilt)


def documented() -> list[Object]:
    """The objects that the documentation shows."""
    pages = sorted((ROOT / "docs").glob("**/*.md"))
    blocks = [
        each
        for page in pages
        for each in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]
    return [each for block in blocks for each in yaml.safe_load_all(block) if "apiVersion" in each]


@pytest.mark.parametrize("shown", documented(), ids=lambda shown: shown["kind"])
def test_objects_that_the_documentation_shows_are_valid(shown: Object) -> None:
    if is_custom(shown):
        definitions.validate(shown)
    elif shown["apiVersion"] not in UNPUBLISHED:
        kubernetes_validate.validate(shown, "1.34", strict=True)


def test_names_are_unique_and_short_enough(rendered: Rendered) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered.objects]
    assert len(names) == len(set(names))
    assert max(len(name) for _, name in names) <= 63


def test_objects_carry_the_recommended_labels(rendered: Rendered) -> None:
    for each in rendered.objects:
        labels = each["metadata"]["labels"]
        assert {
            f"app.kubernetes.io/{name}" for name in ("name", "instance", "version", "managed-by", "part-of")
        } <= set(labels)
        assert "helm.sh/chart" in labels


def test_pods_meet_the_restricted_standard(rendered: Rendered) -> None:
    assert {name: breaches(pod["spec"]) for name, pod in rendered.pods()} == {name: [] for name, _ in rendered.pods()}


def test_pods_write_to_volumes_only_and_know_no_token(rendered: Rendered) -> None:
    for _, pod in rendered.pods():
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_containers_say_what_they_need(rendered: Rendered, request: pytest.FixtureRequest) -> None:
    if "everything-off" in request.node.name:
        return
    for _, pod in rendered.pods():
        for container in containers(pod):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def matches(selector: dict[str, str], pod: Object) -> bool:
    labels: dict[str, str] = pod["metadata"]["labels"]
    return selector.items() <= labels.items()


def ports(pod: Object) -> dict[str, int]:
    """Named ports of a pod, which have to be unique."""
    named = [(port["name"], port["containerPort"]) for each in containers(pod) for port in each.get("ports", [])]
    assert len(named) == len(dict(named)) == len({number for _, number in named})
    return dict(named)


def workloads(rendered: Rendered) -> list[Object]:
    return [*rendered.of("Deployment"), *rendered.of("StatefulSet")]


def test_workloads_select_their_own_pods_and_no_others(rendered: Rendered) -> None:
    for each in workloads(rendered):
        selector = each["spec"]["selector"]["matchLabels"]
        selected = [name for name, pod in rendered.pods() if matches(selector, pod)]
        assert selected == [f"{each['kind']} {each['metadata']['name']}"]


def test_services_lead_to_named_ports(rendered: Rendered) -> None:
    for service in rendered.of("Service"):
        pods = [pod for _, pod in rendered.pods() if matches(service["spec"]["selector"], pod)]
        assert pods, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert port["name"]
            assert isinstance(port["targetPort"], str)
            assert any(port["targetPort"] in ports(pod) for pod in pods)


def test_a_service_that_clients_use_has_pods_of_one_workload_or_of_all_groups(rendered: Rendered) -> None:
    for service in rendered.of("Service"):
        if service["metadata"]["labels"].get("app.kubernetes.io/component") != "metrics":
            pods = [pod for _, pod in rendered.pods() if matches(service["spec"]["selector"], pod)]
            assert pods
            assert len(pods) == len({pod["metadata"]["labels"].get("tidings/group") for pod in pods})


def test_statefulsets_have_their_headless_service(rendered: Rendered) -> None:
    for each in rendered.of("StatefulSet"):
        service = rendered.get("Service", each["spec"]["serviceName"])
        assert service["spec"]["clusterIP"] == "None"


def test_budgets_select_the_pods_of_a_workload(rendered: Rendered) -> None:
    for each in rendered.of("PodDisruptionBudget"):
        selector = each["spec"]["selector"]["matchLabels"]
        assert len([pod for _, pod in rendered.pods() if matches(selector, pod)]) == 1


def test_policies_select_pods_and_name_their_ports(rendered: Rendered) -> None:
    for policy in rendered.of("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]["matchLabels"]
        pods = [pod for _, pod in rendered.pods() if matches(selector, pod)]
        assert pods
        named = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
        for pod in pods:
            assert {port for port in named if isinstance(port, str)} == set(ports(pod))


def test_budgets_let_a_pod_go_and_are_there_for_several(rendered: Rendered, request: pytest.FixtureRequest) -> None:
    budgets = {each["metadata"]["name"] for each in rendered.of("PodDisruptionBudget")}
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in rendered.of("HorizontalPodAutoscaler")}
    several = {
        each["metadata"]["name"]
        for each in workloads(rendered)
        if each["metadata"]["name"] in scaled or each["spec"]["replicas"] > 1
    }
    assert budgets == (set() if "everything-off" in request.node.name else several)
    specs = [each["spec"] for each in rendered.of("PodDisruptionBudget")]
    assert all(spec.get("maxUnavailable") or spec.get("minAvailable") != "100%" for spec in specs)


def test_an_autoscaled_workload_says_no_number(rendered: Rendered) -> None:
    for each in rendered.of("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        assert "replicas" not in rendered.get(target["kind"], target["name"])["spec"]
        assert each["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 600
        assert each["spec"]["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0


def test_probes_ask_the_probe_port(rendered: Rendered) -> None:
    for _, pod in rendered.pods():
        for container in pod["spec"]["containers"]:
            names = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container.get(probe, {}).get("httpGet")
                if asked:
                    assert asked["port"] in names
                    assert asked["port"] in ("probe", "webmail-probe")
                    assert asked["path"] == ("/readyz" if probe == "readinessProbe" else "/livez")


def test_volumes_are_there_for_what_is_mounted(rendered: Rendered) -> None:
    for each in workloads(rendered):
        pod = each["spec"]["template"]
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        claims = {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert not volumes & claims
        assert mounted == volumes | claims


def test_secrets_that_pods_read_are_made_or_named_by_the_values(rendered: Rendered) -> None:
    made = {secret["metadata"]["name"]: set(secret["data"]) for secret in rendered.of("Secret")}
    for _, pod in rendered.pods():
        for container in containers(pod):
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference and reference["name"] in made:
                    assert reference["key"] in made[reference["name"]]


def test_the_services_know_every_variable(rendered: Rendered) -> None:
    for _, pod in rendered.pods():
        for container in pod["spec"]["containers"]:
            command = container.get("args", [""])[0]
            if command not in SETTINGS:
                continue
            assert command in COMMANDS
            names = [variable["name"] for variable in container["env"]]
            assert len(names) == len(set(names))
            known = {f"{ENV_PREFIX}{name.upper()}" for name in SETTINGS[command].model_fields}
            assert {name for name in names if name.startswith(ENV_PREFIX)} <= known


def test_accounts_of_pods_are_made(rendered: Rendered) -> None:
    made = {each["metadata"]["name"] for each in rendered.of("ServiceAccount")}
    used = {pod["spec"]["serviceAccountName"] for _, pod in rendered.pods()}
    assert used == (made or {"default"})


def test_monitors_select_services_that_have_their_ports(rendered: Rendered) -> None:
    for monitor in rendered.of("ServiceMonitor"):
        selector: dict[str, Any] = monitor["spec"]["selector"]["matchLabels"]
        (service,) = (each for each in rendered.of("Service") if selector.items() <= each["metadata"]["labels"].items())
        named = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= named


def test_nothing_sticks_clients_to_a_pod(rendered: Rendered) -> None:
    """A client may come back to any gateway with its cursor, so no object asks for affinity of any kind."""
    for each in rendered.objects:
        if each["kind"] == "Service":
            assert each["spec"].get("sessionAffinity", "None") == "None"
        if each["kind"] in ("Service", "Ingress", "HTTPRoute"):
            annotations = " ".join(each["metadata"].get("annotations", {}))
            assert "affinity" not in annotations
            assert "sticky" not in annotations
        if each["kind"] == "HTTPRoute":
            assert all("sessionPersistence" not in rule for rule in each["spec"]["rules"])


def test_no_ingress_controller_is_taken_for_granted(rendered: Rendered) -> None:
    for each in [*rendered.of("Ingress"), *rendered.of("HTTPRoute")]:
        assert "nginx" not in str(each)
