"""The release that `helm install tidings deploy/helm` makes, used and changed while changes are told and counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.cluster.kube import CommandError, Kube
from tests.cluster.release import Release, background
from tests.support.chart import UMBRELLA


@pytest.fixture(scope="module")
def mail(kube: Kube) -> Iterator[Release]:
    release = Release(kube, "mail")
    try:
        said = release.helm("install", UMBRELLA)
        # That is where Helm says what the restricted standard would refuse.
        assert "Warning" not in said
        release.rolled_out()
        yield release
    finally:
        release.close()


def test_helm_test_passes(mail: Release) -> None:
    assert "Succeeded" in mail.helm("test", None, "--logs")


PORT_FORWARD = re.compile(r".* port-forward (\S+) (\d+):\d+")
PAGES = {"service/tidings-gateway": ".well-known/jmap?account=alice"}
"""What is asked for where there is no page at the root."""


def test_each_line_of_the_notes_does_what_they_say(mail: Release) -> None:
    lines = [line.strip() for line in mail.run("helm get notes tidings").splitlines() if line.startswith("  ")]
    assert len(lines) == 8, lines
    for line in lines:
        if forwarded := PORT_FORWARD.fullmatch(line):
            with background(mail, line, "Forwarding from 127.0.0.1"):
                assert mail.url(f"http://127.0.0.1:{forwarded[2]}/{PAGES.get(forwarded[1], '')}")
        elif "get secret" in line:
            assert mail.run(line) == mail.secret("tidings", "ingest-tokens")
        else:
            assert mail.run(line)


def test_a_rollout_loses_nothing(mail: Release) -> None:
    before = [pod["metadata"]["name"] for pod in mail.pods("gateway")]
    with mail.counting():
        mail.run("kubectl rollout restart deployment/tidings-gateway statefulset/tidings-publisher")
        mail.rolled_out()
    assert not set(before) & {pod["metadata"]["name"] for pod in mail.pods("gateway")}


def test_an_upgrade_and_its_rollback_lose_nothing(mail: Release) -> None:
    with mail.counting():
        mail.helm("upgrade", UMBRELLA, "--set", "tidings.gateway.replicas=2,tidings.logLevel=debug")
        mail.rolled_out()
        assert len(mail.pods("gateway")) == 2
        mail.run("helm rollback tidings 1")
        mail.rolled_out()
    mail.until(lambda: len(mail.pods("gateway")) == 1, "one gateway again")


def test_a_restart_of_the_broker_loses_nothing(mail: Release) -> None:
    with mail.counting() as counted:
        mail.run("kubectl rollout restart statefulset/tidings-rabbitmq")
        mail.rolled_out()
        mail.run("kubectl delete pod/tidings-rabbitmq-0 --grace-period=0 --force")
        mail.rolled_out()
    # The log is on a volume: gateways go on where they were.
    assert not counted.found["noticed"], counted.found["table"]


def test_a_drained_node_keeps_what_the_disruption_budget_says(mail: Release) -> None:
    mail.helm("upgrade", UMBRELLA, "--set", "tidings.gateway.replicas=2")
    mail.rolled_out()
    node = mail.get("nodes")["items"][0]["metadata"]["name"]
    with mail.counting():
        try:
            # There is no other node: the gateway that was evicted cannot come back, so the other one has to stay.
            with pytest.raises(CommandError, match="violate the pod's disruption budget"):
                mail.run(f"kubectl drain {node} --ignore-daemonsets --delete-emptydir-data --force --timeout=20s")
            running = [pod for pod in mail.pods("gateway") if pod["status"]["phase"] == "Running"]
            assert len(running) == 1
        finally:
            mail.run(f"kubectl uncordon {node}")
        mail.rolled_out()
    mail.run("helm rollback tidings 1")
    mail.rolled_out()
