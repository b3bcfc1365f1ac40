"""The OCI registry that a release goes to, by Helm's own client."""

from __future__ import annotations

import os
from pathlib import Path

import helm_python as helm

from scripts.release.running import ReleaseError


def plain(reference: str) -> bool:
    """Whether a reference's registry is on this machine, which is spoken to without TLS as Docker does it."""
    host = reference.partition("/")[0].partition(":")[0]
    return host == "localhost" or host.startswith("127.")


class Registry:
    """`name` is host, port and path: images are NAME/tidings, charts NAME/charts/CHART."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.charts = f"{name}/charts"
        self._plain = plain(name)

    def _client(self) -> helm.RegistryClient:
        # Where Buildah and cosign look too, so that one login is enough.
        docker = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
        return helm.RegistryClient(plain_http=self._plain, credentials_file=docker / "config.json")

    def refuse_another(self, reference: str, digest: str) -> None:
        """Raise ReleaseError where the tag is taken by something else: what was released stays."""
        with self._client() as client:
            repository, _, tag = reference.rpartition(":")
            try:
                if tag not in client.tags(repository):
                    return
                there = client.resolve(f"oci://{reference}")["digest"]
            except helm.HelmError as error:
                # A registry that knows nothing of the name; without a login it says "credential not found".
                if "status code 404" in str(error):
                    return
                raise ReleaseError(f"the registry {self.name} cannot be asked for {reference}: {error}") from None
        if there != digest:
            raise ReleaseError(
                f"{reference} is released already, as {there}; this would be {digest}. Take a new version."
            )

    def push(self, chart: Path, name: str, version: str) -> str:
        """Push a packed chart; its digest. The time of the file is part of what is pushed."""
        with self._client() as client:
            try:
                client.push(chart, f"oci://{self.charts}", plain_http=self._plain)
                return str(client.resolve(f"oci://{self.charts}/{name}:{version}")["digest"])
            except helm.HelmError as error:
                raise ReleaseError(f"{chart.name} cannot be pushed: {error}") from None
