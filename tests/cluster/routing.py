"""Traefik, which serves Ingresses and HTTPRoutes. It runs on the node, beside the pods."""

from __future__ import annotations

from tests.cluster.kube import Kube, Object
from tests.cluster.node import ADDRESS
from tests.support.definitions import definition_folder

CLASS = "traefik"
"""Of Ingresses and Gateways."""
_API = "gateway.networking.k8s.io"
_PROGRAMMED = "jsonpath={.status.conditions[?(@.type=='Programmed')].status}"


def route(kube: Kube) -> None:
    """Start it, and return once it serves at port 80 of the node."""
    kube.kubectl("apply", "--server-side", f"--filename={definition_folder(_API)}")
    kube.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
    kube.apply(*_classes())
    kube.node.spawn(
        *("traefik", "env", f"KUBECONFIG={kube.home}/admin.conf", "traefik", "--entrypoints.web.address=:80"),
        *("--providers.kubernetesingress", f"--providers.kubernetesingress.ingressendpoint.ip={ADDRESS}"),
        *("--providers.kubernetesgateway", f"--providers.kubernetesgateway.statusaddress.ip={ADDRESS}"),
        *("--global.checknewversion=false", "--global.sendanonymoususage=false"),
    )
    asked = ("kubectl", "get", "gateway/public", "--namespace=gateways", f"--output={_PROGRAMMED}")
    kube.until("Traefik", lambda: kube.try_(*asked) == "True")


def _classes() -> list[Object]:
    """What is Traefik's, and a Gateway for the routes of all namespaces."""
    listener = {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateways"}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": CLASS},
            "spec": {"controller": "traefik.io/ingress-controller"},
        },
        {
            "apiVersion": f"{_API}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": f"{_API}/v1",
            "kind": "Gateway",
            "metadata": {"name": "public", "namespace": "gateways"},
            "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
        },
    ]
