from __future__ import annotations

from typing import Any

import pytest

from tests.support.chart import TIDINGS, render
from tidings.gateway.settings import GatewaySettings
from tidings.oncall.kubectl import DEFAULT_PORTS, admin_ports
from tidings.ops.settings.fields import Settings
from tidings.publisher.settings import PublisherSettings
from tidings.webmail.settings import WebmailSettings

WEBMAIL = {"webmail": {"enabled": True}, "publisher": {"maildir": {"enabled": True}}}


def pods(*values: dict[str, Any], phase: str = "Running") -> dict[str, Any]:
    """What `kubectl get pods -o json` says of a release."""
    found = render(TIDINGS, *values).pods()
    return {
        "items": [
            {"metadata": {"name": name.rpartition(" ")[2]}, "status": {"phase": phase}, "spec": pod["spec"]}
            for name, pod in found
        ]
    }


@pytest.mark.parametrize("values", [{}, {"admin": {"existingSecret": "admin"}}], ids=["loopback", "named"])
def test_the_admin_ports_of_pods_that_run(values: dict[str, Any]) -> None:
    expected = [("tidings-gateway", 9090), ("tidings-publisher", 9190), ("tidings-publisher", 9290)]
    assert sorted(admin_ports(pods(WEBMAIL, values))) == expected
    assert not list(admin_ports(pods(WEBMAIL, values, phase="Pending")))


def test_an_admin_port_of_the_environment_is_taken() -> None:
    given = {"gateway": {"extraEnv": [{"name": "TIDINGS_ADMIN_PORT", "value": "7000"}]}}
    assert ("tidings-gateway", 7000) in admin_ports(pods(given))


@pytest.mark.parametrize(
    ("container", "settings"),
    [("gateway", GatewaySettings), ("publisher", PublisherSettings), ("webmail", WebmailSettings)],
)
def test_the_default_ports_are_those_of_the_processes(container: str, settings: type[Settings]) -> None:
    assert settings.model_fields["admin_port"].default == DEFAULT_PORTS[container]
