"""The programs of a cluster, built from their Go modules: once for each state of what they are built from.

`python -m tests.cluster.programs` says whether they are there: exit code 0, and 1 else.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cached import kept, made

HERE = Path(__file__).parent
BUILD_SECONDS = 3_600
VERSION = "1.34.4"
"""Of Kubernetes."""
HELM = "3.19.5"
TRAEFIK = "3.6.12"
_KUBERNETES = "k8s.io/component-base/version"


class ProgramError(Exception):
    """The programs cannot be built; the text says why."""


@dataclass(frozen=True)
class Module:
    """A folder with a go.mod, and what is built of it: a package by the name of the program."""

    folder: str
    packages: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[str] = ()
    """Further names of the first program."""

    def key(self) -> str:
        """A digest of all that the programs are made of."""
        digest = hashlib.sha256(repr(self).encode())
        for path in self._sources():
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]

    def _sources(self) -> Iterator[Path]:
        for path in sorted((HERE / self.folder).rglob("*")):
            if path.suffix == ".go" or path.name in {"go.mod", "go.sum"}:
                yield path

    def place(self) -> Path:
        """The directory of its programs, once they are built."""
        return kept("kube") / f"{self.folder}-{self.key()}"

    def build(self, to: Path) -> None:
        """Build all of it. Raises ProgramError."""
        go = shutil.which("go")
        if go is None:
            raise ProgramError("Go is needed: install version 1.25 or newer")
        flags = " ".join(f"-X {name}={value}" for name, value in self.variables.items())
        to.mkdir()
        for name, package in self.packages.items():
            command = [go, "build", "-trimpath", "-ldflags", f"-s -w {flags}", "-o", str(to / name), package]
            environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
            done = subprocess.run(
                command,
                cwd=HERE / self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
            if done.returncode:
                raise ProgramError(f"{' '.join(command)}:\n{done.stderr[-4000:]}")
        for link in self.links:
            (to / link).symlink_to(next(iter(self.packages)))


MODULES = (
    Module(
        "kubernetes",
        {"hyperkube": "./hyperkube", "pause": "./pause"},
        {
            f"{_KUBERNETES}.gitVersion": f"v{VERSION}",
            f"{_KUBERNETES}.gitMajor": VERSION.split(".")[0],
            f"{_KUBERNETES}.gitMinor": VERSION.split(".")[1],
        },
        ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"),
    ),
    Module(
        "tools",
        {
            "coredns": "./coredns",
            "helm": "helm.sh/helm/v3/cmd/helm",
            "kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
            "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
        },
        {"helm.sh/helm/v3/internal/version.version": f"v{HELM}"},
    ),
    # Modules of their own: their libraries do not agree with those of the others.
    Module("adapter", {"prometheus-adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter"}),
    Module(
        "traefik",
        {"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
        {"github.com/traefik/traefik/v3/pkg/version.Version": TRAEFIK},
    ),
)


def programs() -> list[Path]:
    """The directories with all programs, built where they are not there yet. Raises ProgramError."""
    return [_built(module) for module in MODULES]


def program(name: str) -> Path:
    """One of the programs, built where it is not there yet. Raises ProgramError."""
    return next(_built(module) for module in MODULES if name in module.packages) / name


def _built(module: Module) -> Path:
    return made(module.place(), module.build)


if __name__ == "__main__":
    sys.exit(not all(module.place().exists() for module in MODULES))
