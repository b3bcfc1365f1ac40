"""What the pages for operators have readers type, typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.kube import CommandError, Kube
from tests.cluster.page import blocks, commands
from tests.cluster.release import Release, background
from tests.support.chart import TIDINGS, UMBRELLA

SECONDS = 300.0
"""For what takes the longest of it: three nodes of RabbitMQ that meet, or one that comes back."""
QUICK = "tidings.gateway.preStopSeconds=0,tidings.gateway.settings.drainSeconds=1,tidings.gateway.minReadySeconds=0"
COPIES = "rabbitmqctl --quiet list_queues --no-table-headers online"
SHOWN = [line for line in dict.fromkeys(commands()) if line.split()[1] in {"get", "logs", "describe"}]
"""Those that only show something."""


@pytest.fixture
def mail(kube: Kube) -> Iterator[Release]:
    """A namespace by the name that the page uses."""
    release = Release(kube, "mail")
    try:
        yield release
    finally:
        release.kube.try_("helm", "uninstall", "tidings", "--namespace=mail")
        release.close()


def test_commands_that_show_something_are_taken(mail: Release) -> None:
    mail.helm("install", UMBRELLA, "--set", QUICK)
    mail.rolled_out()
    (pod,) = (each["metadata"]["name"] for each in mail.pods("gateway"))
    # There is an earlier container to ask about once there was one.
    mail.run(f'kubectl exec {pod} -- python -c "import os; os.kill(1, 15)"')
    mail.until(
        lambda: mail.pods("gateway")[0]["status"]["containerStatuses"][0]["restartCount"], "a container that ended"
    )
    mail.until(mail.ready, "another one")
    assert len(SHOWN) == 6
    for line in SHOWN:
        mail.run(line.replace(" POD", f" {pod}").replace(" NAMESPACE", " mail"))
    with background(mail, "kubectl port-forward deployment/tidings-gateway 9090", "Forwarding"):
        assert 'href="metrics"' in mail.url("http://localhost:9090/")


def test_helm_test_waits_for_what_is_on_its_way(mail: Release) -> None:
    """As the page has it, nobody waits between the two."""
    assert {"helm test tidings"} <= set(blocks("install", "## Install on Kubernetes")[0].splitlines())
    mail.helm("install", UMBRELLA, "--set", QUICK)
    assert "Succeeded" in mail.helm("test", None, "--logs")


def test_secrets_of_an_installation_that_counts_are_used(mail: Release) -> None:
    secrets, _ = blocks("install", "## Install for production")
    # The namespace is there.
    mail.run(secrets.removeprefix("kubectl create namespace mail\n"))
    named = "auth.existingSecret=tidings-jwt,ingest.existingSecret=tidings-ingest"
    mail.helm("install", TIDINGS, "--set", named)
    mail.until(mail.ready, "all pods ready")
    assert "Succeeded" in mail.helm("test", None, "--logs")


def test_a_broker_of_three_takes_the_place_of_one(mail: Release) -> None:
    mail.helm("install", UMBRELLA, "--set", QUICK)
    mail.rolled_out()
    with pytest.raises(CommandError, match="cannot change its number of nodes without an outage"):
        mail.helm("upgrade", UMBRELLA, "--set", "tidings.rabbitmq.replicas=3")
    section = ("broker", "### The bundled broker")
    (values,) = blocks(*section, "yaml")
    (mail.directory / "my-values.yaml").write_text(values)
    (typed,) = blocks(*section)
    with mail.counting():
        mail.run(typed, SECONDS)
        mail.rolled_out()
    assert len(mail.pods("log")) == 3
    assert "Succeeded" in mail.helm("test", None, "--logs")
    mail.run("kubectl delete secret/tidings-rabbitmq persistentvolumeclaim/data-tidings-rabbitmq-0")


def test_a_broker_whose_volume_is_lost_starts_anew(mail: Release) -> None:
    mail.helm("install", UMBRELLA, "--set", QUICK)
    mail.rolled_out()
    (lost,) = blocks("broker", "### With its data")
    with mail.counting() as counted:
        mail.run(lost)
        mail.rolled_out()
    assert counted.found["noticed"], "clients are told to look again"


def test_a_node_whose_volume_is_lost_comes_back_with_its_copies(mail: Release) -> None:
    mail.helm("install", TIDINGS, "--set", "rabbitmq.replicas=3")
    mail.rolled_out()
    lost, _ = blocks("broker", "### Replace a lost node")
    with mail.counting():
        mail.run(lost, SECONDS)
    ask = f"kubectl exec tidings-rabbitmq-1 --container rabbitmq -- {COPIES}"
    mail.until(lambda: all("rabbit@tidings-rabbitmq-0" in nodes for nodes in mail.run(ask).splitlines()), "copies")


def test_sources_are_added_to_a_release(mail: Release) -> None:
    mail.helm("install", TIDINGS)
    mail.rolled_out()
    (mail.directory / "map.toml").write_text('table = "accounts.txt"\n')
    (mail.directory / "accounts.txt").write_text("alice@mail.example alice\n")
    (typed,) = blocks("install", "## Connect a storage")
    mail.run(typed)
    # There is no database here: what shows is that the pod that asks for it was admitted, and has what it names.
    mail.until(lambda: "mail-database" in str(mail.pods("publisher")), "a publisher that asks the database")
    mail.until(lambda: mail.pods("publisher")[0]["status"]["phase"] == "Running", "its container")
