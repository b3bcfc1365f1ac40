"""Where others apply what is rendered: without a cluster nothing is made up, and manifests fit their controllers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.support import definitions
from tests.support.chart import RABBITMQ, ROOT, TIDINGS, UMBRELLA, files, load, merged
from tests.support.kubernetes import cluster
from tests.support.rendered import NAMESPACE, RELEASE, Object, Rendered

MANIFESTS = ROOT / "deploy" / "gitops"
INGEST = {"ingest": {"existingSecret": "storages"}}
AUTH = {"auth": {"existingSecret": "clients"}}
BROKER = {"rabbitmq": {"auth": {"existingSecret": "broker"}}}


def shown(name: str) -> dict[str, Object]:
    """The objects of a manifest, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((MANIFESTS / name).read_text())}


def offline(chart: Path, values: dict[str, Any]) -> dict[str, str]:
    """What `helm template` renders: nothing can be looked up."""
    with helm.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        return loaded.render(values, name=RELEASE, namespace=NAMESPACE, revision=1, is_install=True)


@pytest.mark.parametrize(
    ("values", "missing", "named"),
    [
        ({**INGEST, **AUTH}, "password in the Secret tidings-rabbitmq", "rabbitmq.auth.existingSecret"),
        ({**INGEST, **BROKER}, "jwt-secret in the Secret tidings", "auth.existingSecret"),
        ({**AUTH, **BROKER}, "ingest-tokens in the Secret tidings", "ingest.existingSecret"),
    ],
    ids=["rabbitmq", "auth", "ingest"],
)
def test_without_a_cluster_no_password_is_made(values: dict[str, Any], missing: str, named: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=f"{missing}: Helm cannot see the cluster") as caught:
        offline(TIDINGS, values)
    assert f"name it in {named}:" in str(caught.value)


def test_without_a_cluster_secrets_that_are_named_will_do_and_nothing_is_random() -> None:
    values = {**INGEST, **AUTH, **BROKER}
    assert offline(TIDINGS, values) == offline(TIDINGS, values)
    assert Rendered.of_files(offline(TIDINGS, values)).of("Secret") == []
    assert offline(RABBITMQ, BROKER["rabbitmq"])


def test_a_namespace_that_is_not_there_yet_gets_passwords() -> None:
    """`helm install --create-namespace` renders first."""
    with cluster() as fresh:
        fresh.store.namespaces.discard(NAMESPACE)
        assert fresh.install(UMBRELLA).of("Secret")


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.name)
def test_manifests_are_valid(path: Path) -> None:
    for each in shown(path.name).values():
        definitions.validate(each)


def test_argo_cd_gets_the_same_each_time_and_no_secret() -> None:
    source = shown("argocd.yaml")["Application"]["spec"]["source"]
    chart = ROOT / source["path"]
    given = [load(chart / each) for each in source["helm"]["valueFiles"]]
    values = merged(*given, source["helm"]["valuesObject"])
    first, second = offline(chart, values), offline(chart, values)
    assert first == second
    rendered = Rendered.of_files(first)
    assert rendered.of("Secret") == rendered.of("Pod") == []
    assert rendered.get("Deployment", "tidings-gateway")


def test_flux_installs_the_release() -> None:
    manifest = shown("flux.yaml")
    release = manifest["HelmRelease"]["spec"]
    source = release["chart"]["spec"]
    assert source["sourceRef"] == {"kind": "GitRepository", "name": manifest["GitRepository"]["metadata"]["name"]}
    values = merged(*(load(ROOT / each) for each in source["valuesFiles"]), release["values"])
    with helm.Chart.load(ROOT / source["chart"]) as loaded:
        loaded.validate_schema(values)
        rendered = Rendered.of_files(files(loaded, values))
    assert rendered.get("Ingress", "tidings-gateway")["spec"]["rules"][0]["host"] == "push.mail.example"
    assert rendered.of("Secret") == []


def test_the_documented_secrets_have_the_keys_that_pods_read() -> None:
    page = (ROOT / "docs" / "operate" / "gitops.md").read_text().replace("\\\n", "")
    made = {
        name: set(re.findall(r"--from-literal=([a-z-]+)=", rest))
        for name, rest in re.findall(r"^kubectl create secret generic (\S+) (.*)$", page, re.MULTILINE)
    }
    (template,) = re.findall(r"^helm template (.*)\|", page, re.MULTILINE)
    values: dict[str, Any] = {}
    for path, name in re.findall(r"--set (\S+)=(\S+)", template):
        given: Any = name
        for step in reversed(path.split(".")):
            given = {step: given}
        values = merged(values, given)
    rendered = Rendered.of_files(offline(UMBRELLA, values))
    for _, pod in rendered.pods():
        for container in pod["spec"]["containers"]:
            for entry in container["env"]:
                reference = entry.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    assert reference["key"] in made[reference["name"]]
