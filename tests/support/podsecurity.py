"""Kubernetes' restricted Pod Security Standard, control by control."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

VOLUME_TYPES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SECCOMP = ("RuntimeDefault", "Localhost")


def breaches(spec: dict[str, Any]) -> list[str]:
    """What a pod's spec does against the restricted standard."""
    return [*_of_pod(spec), *(fault for container in _containers(spec) for fault in _of_container(container, spec))]


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for kind in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(kind, [])]


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUME_TYPES:
            yield f"volume {volume['name']}"
    context = spec.get("securityContext", {})
    if context.get("sysctls"):
        yield "sysctls"


def _of_container(container: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    name = container["name"]
    pod, own = spec.get("securityContext", {}), container.get("securityContext", {})
    context = {**pod, **own}
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    if capabilities.get("drop") != ["ALL"]:
        yield f"{name}: capabilities not dropped"
    if not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities added"
    if context.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot"
    if context.get("runAsUser") == 0:
        yield f"{name}: runs as root"
    if context.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield f"{name}: seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: hostPort"
    if {"seLinuxOptions", "appArmorProfile", "windowsOptions"} & set(context):
        yield f"{name}: options of a security module"
