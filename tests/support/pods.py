"""Pods as processes: a rendered release, run on this machine the way its pods' specs say.

Each pod has a network of its own (loopback and an address on a bridge that nothing outside reaches), so that it listens
on the ports that its spec names, and /etc/hosts in place of the cluster's DNS. Each ends with the namespaces that it is
in, whatever happens to the test.

What it does not do: it runs what is installed here instead of the image, as this user, and puts volumes into a
directory of the test, so that a path of a mount is replaced wherever a command, a variable or a file names it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.rabbitmq import find_scripts
from tests.support.rendered import NAMESPACE, Object, Rendered
from tests.support.waiting import patient

READY_SECONDS: Final = 120.0
ROOTLESS: Final = os.geteuid() != 0
SUBNET: Final = "10.254.0"
GET: Final = """
import sys, urllib.request
try:
    sys.exit(0 if urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])).status < 400 else 1)
except Exception as error:
    sys.exit(str(error))
"""
CONNECT: Final = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), float(sys.argv[2]))"


class Network:
    """Namespaces of a process that sleeps: its network and processes, and its own view of mounted files."""

    def __init__(self, parent: Network | None = None) -> None:
        rootless = ["--user", "--map-root-user"] if ROOTLESS and parent is None else []
        namespaces = [*rootless, "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child=KILL"]
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "sleep", "infinity"]
        self._outer = subprocess.Popen([*(parent.enter("--user") if parent and ROOTLESS else []), *command])
        self.pid = self._child()
        self.run(["ip", "link", "set", "lo", "up"])

    def _child(self) -> int:
        """The process that sleeps, once its namespaces are there."""
        deadline = time.monotonic() + patient(READY_SECONDS)
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        while True:
            found = children.read_text().split()
            if found and Path(f"/proc/{found[0]}/comm").read_text() == "sleep\n":
                return int(found[0])
            if time.monotonic() > deadline or self._outer.poll() is not None:
                self.close()
                raise AssertionError("no namespaces could be made: they take root, or user namespaces")
            time.sleep(0.01)

    def enter(self, *namespaces: str) -> list[str]:
        """What runs a command inside."""
        rootless = ["--user", "--preserve-credentials"] if ROOTLESS else []
        return ["nsenter", f"--target={self.pid}", *dict.fromkeys([*rootless, *namespaces])]

    def run(self, command: Sequence[str]) -> None:
        """Run a command in the network, seeing this machine's processes and files."""
        subprocess.run([*self.enter("--net"), *command], check=True, capture_output=True)

    def close(self) -> None:
        """End everything that is in it."""
        self._outer.kill()
        self._outer.wait()


class Container:
    """One container of a pod, as a process."""

    def __init__(self, pod: Pod, spec: Object) -> None:
        self._pod = pod
        self.spec = spec
        self.name: str = spec["name"]
        self._log = pod.directory / f"{self.name}.log"
        self.environment = {**self._image(), **self._variables()}
        self._process: subprocess.Popen[bytes] | None = None

    def _image(self) -> dict[str, str]:
        """What the image's own environment is, as far as it matters."""
        scripts = str(find_scripts())
        home = self._local("/var/lib/rabbitmq")
        common = {"PATH": f"{scripts}:{os.environ['PATH']}", "LANG": "C.UTF-8", "HOME": home}
        if "rabbitmq" not in self.spec["image"]:
            return common
        return {
            **common,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_MNESIA_BASE": self._local("/var/lib/rabbitmq/mnesia"),
            "RABBITMQ_PID_FILE": self._local("/var/lib/rabbitmq/pid"),
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }

    def _variables(self) -> dict[str, str]:
        """The variables of the spec, references to earlier ones and to Secrets resolved as a kubelet does."""
        found: dict[str, str] = {}
        for variable in self.spec.get("env", []):
            source = variable.get("valueFrom", {})
            if "secretKeyRef" in source:
                value = self._pod.cluster.secret(source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
            elif "fieldRef" in source:
                value = {"metadata.name": self._pod.name}[source["fieldRef"]["fieldPath"]]
            else:
                value = re.sub(r"\$\((\w+)\)", lambda match: found.get(match[1], match[0]), variable["value"])
            found[variable["name"]] = self._local(value)
        return found

    def _local(self, text: str) -> str:
        """Paths of mounts replaced by those of this machine."""
        mounts = {mount["mountPath"]: mount["name"] for mount in self.spec.get("volumeMounts", [])}
        paths = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
        return re.sub(rf"(?<![\w/])({paths})(?![\w-])", lambda found: str(self._pod.volume(mounts[found[1]])), text)

    def _command(self) -> list[str]:
        entry = ["rabbitmq-server"] if "rabbitmq" in self.spec["image"] else [sys.executable, "-m", "tidings"]
        # What stands for the image's own is a path of this machine already, below /tmp perhaps.
        command = [self._local(part) for part in self.spec["command"]] if "command" in self.spec else entry
        return [*command, *(self._local(part) for part in self.spec.get("args", []))]

    def _inside(self, command: Sequence[str]) -> list[str]:
        return [*self._pod.network.enter("--net", "--mount", "--pid"), *command]

    def start(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            command = self._inside(self._command())
            self._process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def finish(self, seconds: float = READY_SECONDS) -> int:
        """Wait for the process to end; its exit code."""
        assert self._process is not None
        return self._process.wait(patient(seconds))

    def probe(self, name: str) -> str | None:
        """Try a probe once, as a kubelet does: what is wrong, or nothing."""
        probe = self.spec[name]
        ports = {port["name"]: str(port["containerPort"]) for port in self.spec["ports"]}
        seconds = str(probe["timeoutSeconds"])
        if "exec" in probe:
            command = [self._local(part) for part in probe["exec"]["command"]]
        elif "tcpSocket" in probe:
            command = [sys.executable, "-c", CONNECT, ports[probe["tcpSocket"]["port"]], seconds]
        else:
            url = f"http://{self._pod.address}:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
            command = [sys.executable, "-c", GET, url, seconds]
        return self.execute(command)

    def get(self, url: str) -> str | None:
        """Request a page from inside the pod, where a forwarded port leads: what is wrong, or nothing."""
        return self.execute([sys.executable, "-c", GET, url, "10"])

    def execute(self, command: Sequence[str]) -> str | None:
        """Run a command in the container: what is wrong, or nothing."""
        done = self._execute(command)
        return None if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout}{done.stderr}"

    def output(self, command: Sequence[str]) -> str:
        """What a command in the container prints. It has to succeed."""
        done = self._execute(command)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    def _execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._inside(command),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=patient(READY_SECONDS),
            check=False,
        )

    def reap(self) -> None:
        """Take note of the end of a process whose pod is gone."""
        if self._process is not None:
            self._process.wait()

    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class Pod:
    """A pod's containers in one network."""

    def __init__(self, cluster: PodCluster, name: str, template: Object, address: str) -> None:
        self.cluster = cluster
        self.name = name
        self.labels: dict[str, str] = template["metadata"].get("labels", {})
        self.spec = template["spec"]
        self.address = address
        self.directory = cluster.directory / name
        self.ready = False
        self.network = cluster.network()
        self._connect()
        self._mount()
        for volume in self.spec.get("volumes", []):
            self._fill(volume)
        self.containers = {each["name"]: Container(self, each) for each in self.spec["containers"]}
        self._first = [Container(self, each) for each in self.spec.get("initContainers", [])]

    def _connect(self) -> None:
        port = f"p{self.address.rpartition('.')[2]}"
        peer = ["peer", "name", "eth0", "netns", str(self.network.pid)]
        self.cluster.node.run(["ip", "link", "add", port, "type", "veth", *peer])
        self.cluster.node.run(["ip", "link", "set", port, "master", "bridge", "up"])
        self.network.run(["ip", "address", "add", f"{self.address}/24", "dev", "eth0"])
        self.network.run(["ip", "link", "set", "eth0", "up"])

    def _mount(self) -> None:
        """Give it the names of the cluster, and leave it nothing to write to but its volumes."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for arguments in (
            ["--bind", str(self.cluster.hosts), "/etc/hosts"],
            ["--bind", str(self.directory), str(self.directory)],
            ["--options", "remount,bind,ro", "/"],
        ):
            command = [*self.network.enter("--mount"), "mount", *arguments]
            subprocess.run(command, check=True, capture_output=True)

    def volume(self, name: str) -> Path:
        """The directory in place of a volume, nested mounts included."""
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _fill(self, volume: Object) -> None:
        directory = self.volume(volume["name"])
        if "configMap" in volume:
            files = self.cluster.rendered.get("ConfigMap", volume["configMap"]["name"])["data"]
        elif "secret" in volume:
            source = volume["secret"]
            files = {item["path"]: self.cluster.secret(source["secretName"], item["key"]) for item in source["items"]}
        else:
            files = {}
        for name, text in files.items():
            (directory / name).write_text(text)

    def start(self) -> None:
        """Run the init containers, then start the others."""
        for each in self._first:
            each.start()
            assert each.finish() == 0, each.log()
        for each in self.containers.values():
            each.start()

    def unready(self) -> str | None:
        """Try every probe once, in the order of a kubelet: what is wrong, or nothing."""
        for container in self.containers.values():
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if (wrong := container.probe(probe)) is not None:
                    return f"{self.name}/{container.name}: {probe}: {wrong}\n{container.log()}"
        self.ready = True
        return None

    def close(self) -> None:
        """End it."""
        self.network.close()
        for each in self.containers.values():
            each.reap()


class PodCluster:
    """The pods of a release, and names for its Services."""

    def __init__(self, rendered: Rendered, directory: Path) -> None:
        self.rendered = rendered
        self.directory = directory
        self.hosts = directory / "hosts"
        self._networks: list[Network] = []
        self.node = self.network()
        self.node.run(["ip", "link", "add", "bridge", "type", "bridge"])
        self.node.run(["ip", "link", "set", "bridge", "up"])
        self.pods: dict[str, Pod] = {}
        self._secrets: dict[tuple[str, str], str] = {}
        self.hosts.write_text("127.0.0.1 localhost\n")

    def network(self) -> Network:
        """A network that ends with the cluster: the machine's, then one for each pod."""
        self._networks.append(Network(self._networks[0] if self._networks else None))
        return self._networks[-1]

    def secret(self, name: str, key: str) -> str:
        """A value of a Secret that the release makes."""
        found: str = self.rendered.get("Secret", name)["data"][key]
        return b64decode(found).decode()

    def start(self) -> None:
        """Start the pods of every workload, all at once."""
        for workload in [*self.rendered.of("StatefulSet"), *self.rendered.of("Deployment")]:
            for number in range(workload["spec"]["replicas"]):
                self.add(f"{workload['metadata']['name']}-{number}", workload["spec"]["template"])
        self._name()
        for pod in self.pods.values():
            pod.start()

    def wait_ready(self) -> None:
        """Wait until every pod is ready. Services lead to those that are, as they become it."""
        deadline = time.monotonic() + patient(READY_SECONDS)
        waiting = list(self.pods.values())
        while waiting:
            wrong = {pod.name: pod.unready() for pod in waiting}
            self._name()
            waiting = [pod for pod in waiting if not pod.ready]
            if waiting and time.monotonic() > deadline:
                raise AssertionError("\n".join(filter(None, wrong.values())))
            time.sleep(0.2)

    def add(self, name: str, template: Object) -> Pod:
        """A pod that is not started yet."""
        self.pods[name] = Pod(self, name, template, f"{SUBNET}.{len(self.pods) + 1}")
        return self.pods[name]

    def run_to_the_end(self, pod: Object) -> Object:
        """Run a pod that is no part of a workload; it with its phase."""
        running = self.add(pod["metadata"]["name"], pod)
        running.start()
        codes = [each.finish() for each in running.containers.values()]
        running.close()
        return {**pod, "status": {"phase": "Failed" if any(codes) else "Succeeded"}}

    def _name(self) -> None:
        """Names of Services, and of the pods behind those that are headless, as the cluster's DNS has them."""
        lines = ["127.0.0.1 localhost"]
        for service in self.rendered.of("Service"):
            name, selector = service["metadata"]["name"], service["spec"]["selector"]
            for pod in self.pods.values():
                early = service["spec"].get("publishNotReadyAddresses", False)
                if selector.items() <= pod.labels.items() and (pod.ready or early):
                    names = [f"{name}.{NAMESPACE}.svc", f"{name}.{NAMESPACE}.svc.cluster.local"]
                    if service["spec"].get("clusterIP") == "None":
                        names = [f"{pod.name}.{each}" for each in names]
                    lines.append(" ".join([pod.address, *reversed(names)]))
        # Written in place: it is mounted over /etc/hosts already.
        self.hosts.write_text("\n".join([*lines, ""]))

    def close(self) -> None:
        """End everything."""
        for network in reversed(self._networks):
            network.close()
        for pod in self.pods.values():
            pod.close()


@contextmanager
def running(rendered: Rendered, directory: Path) -> Iterator[PodCluster]:
    """A release whose pods have been started, and are gone afterwards."""
    cluster = PodCluster(rendered, directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
