"""Definitions of custom resources, as their projects publish them, and objects held against them strictly.

They come out of Go modules, by Go's own client, which checks them against its database of checksums. What a definition
says in CEL (`x-kubernetes-validations`) only an API server judges.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.support.chart import ROOT
from tests.support.rendered import Object
from tests.support.waiting import patient

DOWNLOAD_SECONDS = 240.0


@dataclass(frozen=True)
class Module:
    """A Go module: version, checksum as go.sum has it, and the directory of its definitions."""

    path: str
    version: str
    checksum: str
    directory: str


# An old one: what fits it fits the operators of years. Newer ones are in no module.
_PROMETHEUS = Module(
    "github.com/prometheus-operator/prometheus-operator",
    "v0.65.2",
    "h1:MyAKMTYwdgiYKNUYwP209Jjq5mhbolq0fiksZB6U++k=",
    "example/prometheus-operator-crd",
)
_GATEWAY = Module(
    "sigs.k8s.io/gateway-api", "v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=", "config/crd/standard"
)
_KEDA = Module(
    "github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=", "config/crd/bases"
)
_ARGO_CD = Module(
    "github.com/argoproj/argo-cd/v3", "v3.2.0", "h1:m2eGAV+nXQGgzZbH5SyJD5laaPW27mzWXBrgisUHY/0=", "manifests/crds"
)
_FLUX_HELM = Module(
    "github.com/fluxcd/helm-controller", "v1.4.0", "h1:rkm8rmB6Na7eNc4pJOnvtXEaJ19iKluRtayHKjBxcUM=", "config/crd/bases"
)
_FLUX_SOURCE = Module(
    "github.com/fluxcd/source-controller",
    "v1.7.0",
    "h1:/fBgS4CSmT5Jj/fjQDF92y+pC3gst1GJjgNSzY8Ff9I=",
    "config/crd/bases",
)
SOURCES = {
    ("monitoring.coreos.com/v1", "PrometheusRule"): (_PROMETHEUS, "monitoring.coreos.com_prometheusrules.yaml"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): (_PROMETHEUS, "monitoring.coreos.com_servicemonitors.yaml"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): (_GATEWAY, "gateway.networking.k8s.io_httproutes.yaml"),
    ("argoproj.io/v1alpha1", "Application"): (_ARGO_CD, "application-crd.yaml"),
    ("helm.toolkit.fluxcd.io/v2", "HelmRelease"): (_FLUX_HELM, "helm.toolkit.fluxcd.io_helmreleases.yaml"),
    ("source.toolkit.fluxcd.io/v1", "GitRepository"): (_FLUX_SOURCE, "source.toolkit.fluxcd.io_gitrepositories.yaml"),
    ("keda.sh/v1alpha1", "ScaledObject"): (_KEDA, "keda.sh_scaledobjects.yaml"),
}
"""Where the definition of a kind is."""


@cache
def _fetched(module: Module) -> Path:
    go = shutil.which("go")
    assert go, "Go is needed: install it with `apt-get install golang-go`"
    command = [go, "mod", "download", "-json", f"{module.path}@{module.version}"]
    # At the root there is no go.mod whose requirements would count.
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=patient(DOWNLOAD_SECONDS), cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    downloaded = json.loads(done.stdout)
    assert downloaded["Sum"] == module.checksum
    return Path(downloaded["Dir"]) / module.directory


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, refusing what an API server would drop without a word: members that it does not describe."""
    strict = dict(schema)
    members = {name: _strict(member) for name, member in schema.get("properties", {}).items()}
    if members:
        strict["properties"] = members
        strict.setdefault("additionalProperties", False)
    if "pattern" in strict:
        # Go takes flags anywhere, Python at the beginning.
        strict["pattern"] = strict["pattern"].replace("^(?i)", "(?i)^")
    for below in ("items", "additionalProperties"):
        if isinstance(strict.get(below), dict):
            strict[below] = _strict(strict[below])
    return strict


def definition_files(*groups: str) -> list[Path]:
    """The files with the definitions of the kinds that are known here of some API groups."""
    return [
        _fetched(module) / file for (version, _), (module, file) in SOURCES.items() if version.split("/")[0] in groups
    ]


def definition_folder(group: str) -> Path:
    """The folder with the definitions of all kinds of an API group."""
    (module,) = {module for (version, _), (module, _) in SOURCES.items() if version.split("/")[0] == group}
    return _fetched(module)


@cache
def _schema(api_version: str, kind: str) -> dict[str, Any]:
    module, file = SOURCES[api_version, kind]
    definition = yaml.safe_load((_fetched(module) / file).read_text())
    (version,) = (each for each in definition["spec"]["versions"] if each["name"] == api_version.rsplit("/")[-1])
    return _strict(version["schema"]["openAPIV3Schema"])


def validate(custom: Object) -> None:
    """Hold a custom resource against its definition. Raises jsonschema's ValidationError."""
    jsonschema.validate(custom, _schema(custom["apiVersion"], custom["kind"]))
