"""The files that the programs of a cluster of one node read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.node import ADDRESS

NODE = "node"
PODS = "10.244.0.0/24"
SERVICES = "10.96.0.0/16"
API = "10.96.0.1"
DNS = "10.96.0.10"
PAUSE = "localhost/pause:1"
HOSTS = ("push.mail.example", "ingest.mail.example")
"""Names that lead to the node, for those who come from outside."""


def kubeconfig(pki: Path, user: str) -> dict[str, Any]:
    """Who one is to the API server: the certificate of a user."""
    cluster = {"server": f"https://{ADDRESS}:6443", "certificate-authority": str(pki / "ca.crt")}
    credentials = {"client-certificate": str(pki / f"{user}.crt"), "client-key": str(pki / f"{user}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": user, "context": {"cluster": "cluster", "user": user}}],
        "current-context": user,
    }


def kubelet(home: Path, pki: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{home}/containerd.sock",
        "failSwapOn": False,
        # The disk is this machine's: how full it is says nothing.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "podLogsDir": str(home / "pod-logs"),
        "readOnlyPort": 0,
        "registerWithTaints": [],
    }


def proxy(home: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(home / "admin.conf")},
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        "mode": "iptables",
        # These are of this machine, not of the node's network.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "metricsBindAddress": "127.0.0.1:10249",
    }


def network(home: Path) -> dict[str, Any]:
    """A bridge that all pods are on."""
    addresses = {
        "type": "host-local",
        "dataDir": str(home / "addresses"),
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{**bridge, "ipam": addresses}, ports]}


def containerd(home: Path) -> str:
    # As TOML: strings are as in JSON.
    return f"""\
version = 2
root = {json.dumps(f"{home}/containerd")}
state = {json.dumps(f"{home}/containerd-state")}
[grpc]
address = {json.dumps(f"{home}/containerd.sock")}
[plugins."io.containerd.internal.v1.opt"]
path = {json.dumps(f"{home}/opt")}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = {json.dumps(PAUSE)}
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = {json.dumps(f"{home}/cni")}
"""


def names(home: Path) -> str:
    """What CoreDNS answers: names of the cluster, and no others."""
    return f"""\
. {{
    ready 127.0.0.1:8181
    errors
    kubernetes cluster.local {{
        kubeconfig {home}/admin.conf
        ttl 1
    }}
}}
"""


def write(home: Path, pki: Path) -> None:
    """Write all of them into the directory of the node."""
    (home / "cni").mkdir()
    documents: Mapping[str, dict[str, Any]] = {
        "admin.conf": kubeconfig(pki, "admin"),
        "kubelet.conf": kubeconfig(pki, "kubelet"),
        "kubelet.yaml": kubelet(home, pki),
        "proxy.yaml": proxy(home),
        "cni/10-pods.conflist": network(home),
    }
    for name, document in documents.items():
        # Every JSON document is one in YAML.
        (home / name).write_text(json.dumps(document, indent=1))
    (home / "containerd.toml").write_text(containerd(home))
    (home / "Corefile").write_text(names(home))
    (home / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {' '.join(HOSTS)}\n")
