"""What clusters have beside Kubernetes itself. It runs on the node, beside the pods."""

from __future__ import annotations

from tests.cluster import files
from tests.cluster.kube import Kube, Object
from tests.cluster.node import ADDRESS

METRICS_PORT = 4443
GROUP = "metrics.k8s.io"


def measure(kube: Kube) -> None:
    """Start metrics-server, and return once it knows how much the node uses."""
    config = [f"--{use}kubeconfig={kube.home}/admin.conf" for use in ("", "authentication-", "authorization-")]
    kube.node.spawn(
        *("metrics-server", "metrics-server", *config, f"--secure-port={METRICS_PORT}", "--metric-resolution=10s"),
        *("--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP", "--kubelet-request-timeout=5s"),
        f"--cert-dir={kube.home}/measured",
    )
    kube.apply(*_metrics())
    kube.until("metrics-server", lambda: "node" in kube.try_("kubectl", "top", "nodes"))


def enforce(kube: Kube) -> None:
    """Start kube-router, of which only the part runs that enforces network policies."""
    off = [f"--run-{part}=false" for part in ("router", "service-proxy", "loadbalancer")]
    kube.node.spawn(
        *("kube-router", "kube-router", f"--kubeconfig={kube.home}/admin.conf", f"--hostname-override={files.NODE}"),
        *("--run-firewall=true", *off, "--enable-cni=false", f"--service-cluster-ip-range={files.SERVICES}"),
    )


def _metrics() -> list[Object]:
    """How the API server finds metrics-server."""
    port = {"name": "https", "port": METRICS_PORT}
    metadata: Object = {"name": "metrics-server", "namespace": "kube-system"}
    label = {"kubernetes.io/service-name": "metrics-server"}
    api = {
        "group": GROUP,
        "version": "v1beta1",
        "service": {"name": "metrics-server", "namespace": "kube-system", "port": METRICS_PORT},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [port]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": label},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{GROUP}"},
            "spec": api,
        },
    ]
