"""What clusters have beside Kubernetes itself. It runs on the node, beside the pods."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.cluster import files
from tests.cluster.kube import Kube, Object
from tests.cluster.node import ADDRESS

METRICS_PORT = 4443
ADAPTER_PORT = 4444
PROMETHEUS = "127.0.0.1:9099"


def measure(kube: Kube) -> None:
    """Start metrics-server, and return once it knows how much the node uses."""
    kube.node.spawn(
        *("metrics-server", "metrics-server", f"--kubeconfig={kube.home}/admin.conf"),
        *_aggregated(kube, "metrics-server", METRICS_PORT),
        *("--metric-resolution=10s", "--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP"),
        "--kubelet-request-timeout=5s",
    )
    kube.apply(*_registered("metrics.k8s.io", "metrics-server", METRICS_PORT))
    kube.until("metrics-server", lambda: "node" in kube.try_("kubectl", "top", "nodes"))


def enforce(kube: Kube) -> None:
    """Start kube-router, of which only the part runs that enforces network policies."""
    off = [f"--run-{part}=false" for part in ("router", "service-proxy", "loadbalancer")]
    kube.node.spawn(
        *("kube-router", "kube-router", f"--kubeconfig={kube.home}/admin.conf", f"--hostname-override={files.NODE}"),
        *("--run-firewall=true", *off, "--enable-cni=false", f"--service-cluster-ip-range={files.SERVICES}"),
    )


class Prometheus:
    """Prometheus, and prometheus-adapter in front of it. `rules` is the adapter's configuration."""

    def __init__(self, kube: Kube, rules: str) -> None:
        self._targets = kube.home / "targets.json"
        self.scrape([], 0)
        found = {"file_sd_configs": [{"files": [str(self._targets)]}]}
        scraped = {"scrape_configs": [{"job_name": "pods", "scrape_interval": "2s", **found}]}
        (kube.home / "prometheus.yaml").write_text(json.dumps(scraped))
        (kube.home / "adapter.yaml").write_text(rules)
        kube.node.spawn(
            *("prometheus", "prometheus", f"--config.file={kube.home}/prometheus.yaml"),
            *(f"--storage.tsdb.path={kube.home}/prometheus", f"--web.listen-address={PROMETHEUS}"),
        )
        kube.node.spawn(
            *("prometheus-adapter", "prometheus-adapter", f"--lister-kubeconfig={kube.home}/admin.conf"),
            *_aggregated(kube, "prometheus-adapter", ADAPTER_PORT),
            *(f"--config={kube.home}/adapter.yaml", f"--prometheus-url=http://{PROMETHEUS}"),
            *("--metrics-relist-interval=5s", "--metrics-max-age=1m"),
        )
        kube.apply(*_registered("custom.metrics.k8s.io", "prometheus-adapter", ADAPTER_PORT))

    def scrape(self, pods: Sequence[Object], port: int) -> None:
        """Scrape a port of these pods, with the labels that pods have which it finds itself: Debian's cannot."""
        groups = [
            {
                "targets": [f"{pod['status']['podIP']}:{port}"],
                "labels": {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]},
            }
            for pod in pods
            if "podIP" in pod["status"]
        ]
        # In one step: it may be read at any time.
        written = self._targets.with_suffix(".new")
        written.write_text(json.dumps(groups))
        written.rename(self._targets)


def _aggregated(kube: Kube, name: str, port: int) -> list[str]:
    """What the API server hands requests to asks it who they are from, and what these may do."""
    asked = [f"--{what}-kubeconfig={kube.home}/admin.conf" for what in ("authentication", "authorization")]
    return [*asked, f"--secure-port={port}", f"--cert-dir={kube.home}/made-{name}"]


def _registered(group: str, name: str, port: int) -> list[Object]:
    """How the API server finds what serves a group."""
    ports = [{"name": "https", "port": port}]
    metadata: Object = {"name": name, "namespace": "kube-system"}
    label = {"kubernetes.io/service-name": name}
    api = {
        "group": group,
        "version": "v1beta1",
        "service": {**metadata, "port": port},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": label},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{group}"},
            "spec": api,
        },
    ]
