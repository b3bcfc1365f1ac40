"""The container image, by Buildah: unlike Docker's builder it gives every file of a layer the time that it is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from scripts.release.registry import plain
from scripts.release.running import run
from scripts.release.tree import Tree

DOCKERFILE = "docker/Dockerfile"
LIBRARY = "docker.io/library/"
"""Where names of images are looked for that name no registry."""


@dataclass(frozen=True)
class Image:
    """An image in a directory, as OCI lays it out. `base` is what it was built on, by name and digest."""

    layout: str
    base: str
    digest: str

    @classmethod
    def built(cls, tree: Tree, version: str, base: str | None, store: Path) -> Image:
        """Build it on the base as it is in its registry now. Nothing is taken from an earlier build."""
        store.mkdir()
        buildah = ("buildah", "--root", str(store / "root"), "--runroot", str(store / "run"))
        if base is None:
            (named,) = re.findall(r"^ARG PYTHON=(\S+)$", (tree.path / DOCKERFILE).read_text(), re.MULTILINE)
            base = f"{LIBRARY}{named}"
        run(*buildah, "pull", f"--tls-verify={_checked(base)}", base)
        found = run(*buildah, "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", base)
        place, _, last = base.partition("@")[0].rpartition("/")
        exact = f"{place}/{last.partition(':')[0]}@{found}"
        name = f"localhost/tidings:{version}"
        time = str(tree.time)
        arguments = {"PYTHON": exact, "VERSION": version, "REVISION": tree.commit, "SOURCE_DATE_EPOCH": time}
        run(
            *(*buildah, "bud", "--isolation", "chroot", "--network", "host", f"--tls-verify={_checked(base)}"),
            *("--no-cache", "--format", "oci", "--timestamp", time, "--identity-label=false", "--tag", name),
            *(part for each in arguments.items() for part in ("--build-arg", "=".join(each))),
            *("--file", str(tree.path / DOCKERFILE), str(tree.path)),
        )
        written = store / "digest"
        layout = f"oci:{store / 'layout'}:{version}"
        run(*buildah, "push", "--quiet", "--digestfile", str(written), name, layout)
        return cls(layout, exact, written.read_text().strip())

    def push(self, reference: str) -> None:
        """Push it to its registry, byte for byte. Buildah itself would put in layers that it has seen elsewhere."""
        checked = f"--dest-tls-verify={_checked(reference)}"
        run("skopeo", "copy", "--quiet", "--preserve-digests", checked, self.layout, f"docker://{reference}")

    def materials(self) -> dict[str, dict[str, str]]:
        """The base, as provenance names it."""
        name, _, digest = self.base.partition("@sha256:")
        return {f"oci://{name}": {"sha256": digest}}


def _checked(reference: str) -> str:
    """Whether TLS is asked of a reference's registry, in Buildah's words."""
    return str(not plain(reference)).lower()
