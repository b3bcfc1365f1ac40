from __future__ import annotations

from typing import Any

from tidings.oncall.kubectl import GATEWAY_PORTS, admin_ports


def pod(name: str, *ports: dict[str, Any], phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "status": {"phase": phase},
        "spec": {"containers": [{"ports": list(ports)}, {"name": "sidecar"}]},
    }


def test_the_admin_ports_of_pods_that_run() -> None:
    http = {"name": "http", "containerPort": 8080}
    admin, webmail = {"name": "admin", "containerPort": 9090}, {"name": "webmail-admin", "containerPort": 9290}
    pods = {"items": [pod("g", http, admin, webmail), pod("pending", admin, phase="Pending"), pod("rabbitmq", http)]}
    assert list(admin_ports(pods)) == [("g", 9090), ("g", 9290)]
    assert list(admin_ports(pods, GATEWAY_PORTS)) == [("g", 9090)]
