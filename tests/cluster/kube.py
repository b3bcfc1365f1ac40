"""A Kubernetes of one node: its own programs on a machine of its own, with images that are there already."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster import files
from tests.cluster.node import ADDRESS, Node
from tests.cluster.pki import Authority
from tests.support.roots import RootError
from tests.support.started import Started
from tests.support.waiting import comes_true, patient

READY_SECONDS = 60.0
COMMAND_SECONDS = 60.0
VOLUMES = {"": 100, "fast": 6}
"""How many there are of each class of storage. Nobody clears one that was used."""
# A program of this machine looks names up in this machine's /etc/hosts.
_NAMED = 'mount --bind "$0" /etc/hosts; exec "$@"'
Object = dict[str, Any]


class CommandError(AssertionError):
    """A command against the cluster did not do what it should; the text has what the command said."""


class Kube(Started):
    """A cluster. `programs` are directories of programs, `images` archives of container images."""

    def __init__(self, programs: Sequence[Path], images: Sequence[Path]) -> None:
        self.node = Node(programs)
        self.home = self.node.directory
        self._programs = programs
        self._images = images
        self._pki = self.home / "pki"

    def start(self) -> None:
        """Return once the node is ready to run pods. Raises RootError."""
        self._certify()
        files.write(self.home, self._pki)
        self.node.start()
        self._start_control()
        self._start_node()
        self.apply(*_names(), *self._volumes())
        self.until("the node", lambda: "Ready" in self._conditions())

    def close(self) -> None:
        self.node.close()

    def _certify(self) -> None:
        authority = Authority(self._pki)
        authority.key("accounts")
        local = ("127.0.0.1", ADDRESS, files.API, "localhost", "kubernetes.default.svc")
        authority.certify("apiserver", "kube-apiserver", alternatives=local)
        authority.certify("admin", "admin", "system:masters")
        authority.certify("kubelet", f"system:node:{files.NODE}", "system:nodes", (ADDRESS, files.NODE))
        authority.certify("front", "front-proxy")

    def _start_control(self) -> None:
        home, pki = self.home, self._pki
        config = f"--kubeconfig={home}/admin.conf"
        here = "http://127.0.0.1:2379"
        clients = (f"--listen-client-urls={here}", f"--advertise-client-urls={here}")
        self.node.spawn("etcd", "etcd", f"--data-dir={home}/etcd", *clients, "--unsafe-no-fsync")
        self.node.spawn("containerd", "containerd", f"--config={home}/containerd.toml")
        headers = {"username": "X-Remote-User", "group": "X-Remote-Group"}
        self.node.spawn(
            *("kube-apiserver", "kube-apiserver", f"--etcd-servers={here}", f"--advertise-address={ADDRESS}"),
            *(f"--service-cluster-ip-range={files.SERVICES}", f"--client-ca-file={pki}/ca.crt"),
            *(f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key"),
            *("--authorization-mode=Node,RBAC", "--service-account-issuer=https://kubernetes.default.svc"),
            *(
                f"--service-account-key-file={pki}/accounts.key",
                f"--service-account-signing-key-file={pki}/accounts.key",
            ),
            *(f"--kubelet-client-certificate={pki}/admin.crt", f"--kubelet-client-key={pki}/admin.key"),
            *(f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP"),
            *(f"--requestheader-client-ca-file={pki}/ca.crt", "--requestheader-allowed-names=front-proxy"),
            *(f"--requestheader-{name}-headers={header}" for name, header in headers.items()),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            *(f"--proxy-client-cert-file={pki}/front.crt", f"--proxy-client-key-file={pki}/front.key"),
            *("--enable-aggregator-routing", f"--cert-dir={home}/made"),
        )
        self.until("the API server", self._answers)
        self.node.spawn(
            *("kube-controller-manager", "kube-controller-manager", config, f"--root-ca-file={pki}/ca.crt"),
            *(f"--service-account-private-key-file={pki}/accounts.key", "--use-service-account-credentials"),
            *("--leader-elect=false", f"--cert-dir={home}/made"),
            # Looked at each five seconds, and not each fifteen; a pod that is new counts at once.
            *("--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-cpu-initialization-period=5s"),
        )
        self.node.spawn("kube-scheduler", "kube-scheduler", config, "--leader-elect=false", f"--cert-dir={home}/made")

    def _start_node(self) -> None:
        home = self.home
        self.until("containerd", (home / "containerd.sock").exists)
        for image in self._images:
            self._import(image)
        self.node.spawn(
            *("kubelet", "kubelet", f"--config={home}/kubelet.yaml", f"--kubeconfig={home}/kubelet.conf"),
            *(f"--hostname-override={files.NODE}", f"--node-ip={ADDRESS}", f"--root-dir={home}/kubelet"),
            *(f"--volume-plugin-dir={home}/plugins", "--node-labels=topology.kubernetes.io/zone=one"),
        )
        self.node.spawn("kube-proxy", "kube-proxy", f"--config={home}/proxy.yaml")
        self.node.spawn("coredns", "coredns", f"-conf={home}/Corefile", "-dns.port=53")

    def _import(self, image: Path) -> None:
        # In the directory of the node the machine sees it under the same name.
        seen = self.home / image.name
        os.link(image, seen)
        self.node.run(
            "ctr", f"--address={self.home}/containerd.sock", "--namespace=k8s.io", "images", "import", str(seen)
        )
        seen.unlink()

    def until(self, what: str, holds: Callable[[], object]) -> None:
        """Wait for a part of the cluster to serve. Raises RootError when it does not, or a server has ended."""
        if not comes_true(lambda: self.node.ended() or holds(), READY_SECONDS) or self.node.ended():
            raise RootError(f"{what} did not become ready; ended: {self.node.ended()}\n{self.node.last_words()}")

    def _answers(self) -> bool:
        return self.try_("kubectl", "get", "--raw", "/readyz") == "ok"

    def _conditions(self) -> str:
        return self.try_("kubectl", "get", "nodes", "--no-headers").replace("NotReady", "")

    def _volumes(self) -> list[Object]:
        found: list[Object] = []
        for storage, count in VOLUMES.items():
            for number in range(count):
                path = self.home / "volumes" / f"{storage}{number}"
                path.mkdir(parents=True)
                # Kubernetes hands no directory of the machine to the user of a pod.
                path.chmod(0o777)
                found.append(_volume(f"volume{storage}{number}", storage, path))
        return found

    def command(self, *command: str) -> list[str]:
        """What runs a program of this machine, or of the cluster, where the cluster is reached."""
        named = ["unshare", "--mount", "sh", "-ec", _NAMED, str(self.home / "hosts")]
        return [*self.node.network(), *named, *command]

    def environment(self) -> dict[str, str]:
        """The variables that such a program needs."""
        path = os.pathsep.join([*map(str, self._programs), os.environ["PATH"]])
        helm = {f"HELM_{kind}_HOME": str(self.home / "helm") for kind in ("CACHE", "CONFIG", "DATA")}
        return {**os.environ, **helm, "PATH": path, "KUBECONFIG": str(self.home / "admin.conf")}

    def run(
        self,
        *command: str,
        given: str | None = None,
        seconds: float = COMMAND_SECONDS,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a program; what it wrote to its standard output. Raises CommandError when it fails."""
        done = subprocess.run(
            self.command(*command),
            input=given,
            env={**self.environment(), **(env or {})},
            capture_output=True,
            text=True,
            timeout=patient(seconds),
            check=False,
        )
        if done.returncode:
            raise CommandError(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout

    def try_(self, *command: str) -> str:
        """The same, and empty when it fails."""
        try:
            return self.run(*command)
        except CommandError:
            return ""

    def kubectl(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run kubectl."""
        return self.run("kubectl", *arguments, seconds=seconds)

    def get(self, *arguments: str) -> Any:
        """An object, or a list of some."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, *objects: Object) -> None:
        """Create or change objects."""
        self.run(
            "kubectl", "apply", "--filename=-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )


def _volume(name: str, storage: str, path: Path) -> Object:
    spec: Object = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": storage,
        "hostPath": {"path": str(path)},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def _names() -> list[Object]:
    """The Service of CoreDNS, which runs beside the pods."""
    port = {"name": "dns", "port": 53, "protocol": "UDP"}
    label = {"kubernetes.io/service-name": "kube-dns"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": files.DNS, "ports": [port]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": label},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [ADDRESS]}],
        },
    ]
