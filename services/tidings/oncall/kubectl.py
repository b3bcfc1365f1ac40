"""The admin ports of pods in a Kubernetes cluster, through `kubectl port-forward`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from tidings.errors import CheckFailed
from tidings.oncall.answers import Answer

LABEL: Final = "app.kubernetes.io/part-of=tidings"
GATEWAY_LABEL: Final = f"{LABEL},app.kubernetes.io/component=gateway"
PORT_NAMES: Final = ("admin", "webmail-admin")
"""What the chart calls the admin ports that other pods may reach."""
DEFAULT_PORTS: Final = {"gateway": 9090, "publisher": 9190, "webmail": 9290}
"""The admin ports of the chart's containers, by name. The chart names no port that is on the pod's loopback."""
FORWARD_SECONDS: Final = 20.0
_FORWARDING: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d{1,5}) -> \d{1,5}\n")


def admin_ports(pods: Any) -> Iterator[tuple[str, int]]:
    """Names of running pods, and their admin ports, from what `kubectl get pods -o json` says. Pure."""
    for pod in pods["items"]:
        if pod["status"].get("phase") != "Running":
            continue
        for container in pod["spec"]["containers"]:
            port = _admin_port(container)
            if port is not None:
                yield pod["metadata"]["name"], port


def _admin_port(container: Any) -> int | None:
    """The admin port of a container, None if it is not of Tidings."""
    given = {each["name"]: each.get("value") for each in container.get("env", ())}.get("TIDINGS_ADMIN_PORT")
    if given:
        return int(given)
    named = (port["containerPort"] for port in container.get("ports", ()) if port.get("name") in PORT_NAMES)
    return next(named, DEFAULT_PORTS.get(container["name"]))


@asynccontextmanager
async def forwarded(namespace: str, *, gateways: bool) -> AsyncIterator[dict[str, str | Answer]]:
    """URLs of the admin ports of all pods in a namespace, or of its `gateways`, by pod and port. Raises CheckFailed.

    A port that cannot be forwarded has the answer that says so.
    """
    label = GATEWAY_LABEL if gateways else LABEL
    pods = json.loads(await _output("get", "pods", "-n", namespace, "-l", label, "-o", "json"))
    ports = list(admin_ports(pods))
    if not ports:
        raise CheckFailed(f"the namespace {namespace} has no running pod with an admin port (kubectl ... -l {label})")
    async with AsyncExitStack() as stack:
        forwards = [stack.enter_async_context(_forward(namespace, pod, port)) for pod, port in ports]
        urls = await asyncio.gather(*forwards)
        yield {f"{pod}:{port}": url for (pod, port), url in zip(ports, urls, strict=True)}


@asynccontextmanager
async def _forward(namespace: str, pod: str, port: int) -> AsyncIterator[str | Answer]:
    process = await _start("port-forward", "-n", namespace, f"pod/{pod}", f":{port}")
    try:
        yield await _url(process) or Answer(f"{pod}:{port}", fault="does not answer: kubectl port-forward failed")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _url(process: Process) -> str | None:
    """Where the port is forwarded from, None if that fails."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FORWARD_SECONDS):
            async for line in process.stdout:
                if found := _FORWARDING.fullmatch(line):
                    return f"http://127.0.0.1:{int(found[1])}"
    return None


async def _output(*arguments: str) -> bytes:
    process = await _start(*arguments)
    said, _ = await process.communicate()
    if process.returncode:
        raise CheckFailed(f"kubectl {' '.join(arguments)} ended with {process.returncode}")
    return said


async def _start(*arguments: str) -> Process:
    try:
        # What it has to complain about goes to where ours does.
        return await asyncio.create_subprocess_exec("kubectl", *arguments, stdin=DEVNULL, stdout=PIPE)
    except FileNotFoundError:
        raise CheckFailed("--kube needs the program kubectl, which is not on the PATH") from None
