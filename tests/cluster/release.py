"""A release of Helm in a namespace of its own, where commands are typed as people type them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kube import COMMAND_SECONDS, CommandError, Kube, Object
from tests.support.cached import remove
from tests.support.chart import ROOT
from tests.support.rendered import RELEASE
from tests.support.waiting import comes_true, patient

READY_SECONDS = 90.0
"""Until all pods of a release are ready: images are there, and RabbitMQ starts in some 15 seconds."""
COUNT_SECONDS = 30.0
GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


class Release:
    """A release in a namespace that enforces the restricted Pod Security Standard."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        # One of that name may still be on its way out.
        kube.kubectl("wait", f"namespace/{namespace}", "--for=delete", "--timeout=300s", seconds=READY_SECONDS)
        metadata = {"name": namespace, "labels": RESTRICTED}
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        # What people type names no namespace: it is that of their configuration.
        self._config = kube.home / f"{namespace}.conf"
        known = yaml.safe_load((kube.home / "admin.conf").read_text())
        known["contexts"][0]["context"]["namespace"] = namespace
        self._config.write_text(json.dumps(known))
        self.directory = kube.home / f"typed-{namespace}"
        self.directory.mkdir(exist_ok=True)
        for name in ("charts", "deploy"):
            remove(self.directory / name)
            (self.directory / name).symlink_to(ROOT / name)

    def environment(self) -> dict[str, str]:
        return {**self.kube.environment(), "KUBECONFIG": str(self._config)}

    def run(self, line: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run lines of a shell in `directory`, which has the charts as a clone has them; all that they wrote.

        Raises CommandError when one fails.
        """
        done = subprocess.run(
            self.kube.command("bash", "-e", "-o", "pipefail", "-c", line),
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patient(seconds),
            check=False,
        )
        if done.returncode:
            raise CommandError(f"{line}\n{done.stdout[-4000:]}\n{self.seen()}")
        return done.stdout

    def seen(self) -> str:
        """What there is to see of it, for whoever has to find out why something failed."""
        namespace = f"--namespace={self.namespace}"
        shown = (("get", "pods", "--output=wide"), ("get", "events", "--sort-by=.lastTimestamp"))
        return "\n".join(self.kube.try_("kubectl", namespace, *each)[-3000:] for each in shown)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.run(shlex.join(["kubectl", "get", *arguments, "--output=json"])))

    def helm(self, verb: str, chart: Path | None = None, *flags: str, values: Sequence[Path] = ()) -> str:
        """Run Helm on the release: `verb` it."""
        named = [str(chart)] if chart else []
        given = [part for path in values for part in ("--values", str(path))]
        return self.run(shlex.join(["helm", verb, RELEASE, *named, *given, *flags]), READY_SECONDS)

    def rolled_out(self) -> None:
        """Return once each of its workloads has the pods that it should have, all ready."""
        for kind in ("statefulset", "deployment"):
            for each in self.get(kind)["items"]:
                self.run(f"kubectl rollout status {kind}/{each['metadata']['name']}", READY_SECONDS)

    def secret(self, name: str, key: str) -> str:
        return b64decode(self.get("secret", name)["data"][key]).decode()

    def address(self, service: str) -> str:
        """Where a Service listens, as a URL."""
        spec = self.get("service", service)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def url(self, url: str) -> str:
        """What a server answers to GET."""
        return self.kube.run(sys.executable, "-c", GET, url)

    def settled(self) -> bool:
        """Whether each of its workloads has all the pods that it should have: they were admitted."""
        workloads = self.get("deployments,statefulsets")["items"]
        return all(each["status"].get("replicas", 0) == each["spec"]["replicas"] for each in workloads)

    def ready(self) -> bool:
        """Whether all its pods are ready, too."""
        pods = self.get("pods")["items"]
        return self.settled() and all(
            any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
            for pod in pods
        )

    def pods(self, component: str) -> list[Object]:
        """Those of its pods that are not about to end."""
        found: list[Object] = self.get("pods", f"--selector=app.kubernetes.io/component={component}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @contextmanager
    def counting(self, rate: int = 20, ingest: str = "", gateway: str = "") -> Iterator[Counted]:
        """Changes are told, `rate` a second, and clients wander meanwhile; in the end nothing may be lost.

        `ingest` and `gateway` are where from outside: the Services' own addresses unless they are given.
        """
        urls = [
            f"--ingest-url={ingest or self.address('tidings-publisher')}",
            f"--gateway-url={gateway or self.address('tidings-gateway')}",
        ]
        load = ["--accounts=20", "--clients=30", f"--rate={rate}", f"--timeout-seconds={patient(COUNT_SECONDS):.0f}"]
        counted = Counted()
        with subprocess.Popen(
            self.kube.command(sys.executable, "-m", "tests.cluster.counting", *urls, *load),
            cwd=ROOT,
            env={**self.environment(), **self.tokens(), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'services'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "counting\n"
                yield counted
                output, _ = process.communicate(timeout=patient(2 * COUNT_SECONDS))
                counted.found = json.loads(output)
            finally:
                process.kill()
        assert not counted.found["lost"], counted.found["table"]
        # More than what is told in the time that a process takes to start.
        assert counted.found["acknowledged"] > 20, counted.found["table"]

    def tokens(self) -> Mapping[str, str]:
        """What `tidings check` shows a publisher and a gateway, as variables."""
        found = {"TIDINGS_INGEST_TOKEN": self.secret(RELEASE, "ingest-tokens")}
        secrets = self.get("secret", RELEASE)["data"]
        return (
            {**found, "TIDINGS_JWT_SECRET": b64decode(secrets["jwt-secret"]).decode()}
            if "jwt-secret" in secrets
            else found
        )

    def until(self, holds: Callable[[], object], what: str, seconds: float = READY_SECONDS) -> None:
        """Wait for a condition of the cluster; fail when it does not come true."""
        assert comes_true(holds, seconds), f"waited for {what}\n{self.seen()}"

    def close(self) -> None:
        """Begin to remove it with its namespace, which takes as long as its pods may take to end."""
        self.kube.kubectl("delete", "namespace", self.namespace, "--wait=false")


class Counted:
    """What was counted, once the block has ended."""

    found: dict[str, Any]


@contextmanager
def background(release: Release, line: str, says: str) -> Iterator[None]:
    """A line of a shell that goes on. It has begun when it has said something."""
    with subprocess.Popen(
        release.kube.command("bash", "-c", f"exec {line}"),
        cwd=release.directory,
        env=release.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert says in said, f"{line}: {said}{process.stdout.read() if process.poll() is not None else ''}"
            yield
        finally:
            process.terminate()
            process.wait()
