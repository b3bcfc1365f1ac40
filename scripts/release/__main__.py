"""Make a release of the commit that is checked out: build all of it, push images and charts, sign everything.

    COSIGN_PASSWORD=... python scripts/release VERSION REGISTRY KEY SBOM LICENSES [BASE]

KEY is a private key of cosign's. SBOM and LICENSES are what `make sbom` wrote. BASE is an image to build on in place of
the one that docker/Dockerfile names. What is no image and no chart is written to build/release/VERSION.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import build
import charts
import provenance
from images import Image
from registry import Registry
from running import ReleaseError
from signing import Signer
from tree import Tree
from versions import check

ROOT = Path(__file__).resolve().parents[2]
SUMS = "SHA256SUMS"


def release(
    version: str, registry: Registry, signer: Signer, lists: Sequence[Path], base: str | None, scratch: Path
) -> Path:
    """Make it; the directory with what is no image and no chart. Nothing is pushed before everything is built."""
    tree = Tree.of_the_commit(ROOT, scratch / "tree")
    files = scratch / "files"
    files.mkdir()
    for path in lists:
        shutil.copy(path, files)
    wheel = build.wheel(tree, files)
    build.requirements(tree, wheel, files / "requirements.txt")
    build.client(tree, ROOT, files)
    image = Image.built(tree, version, base, registry, scratch / "images")
    repository = f"{registry.name}/tidings"
    registry.refuse_another(f"{repository}:{version}", image.digest)
    charts.pin(tree, repository, image.digest)
    packed = charts.pack(tree, files)

    image.push(f"{repository}:{version}")
    published = {repository: image.digest, **{f"{registry.charts}/{name}": registry.push(packed[name]) for name in packed}}
    (files / "images.txt").write_text("".join(f"{name}:{version}@{digest}\n" for name, digest in published.items()))

    subjects = {path.name: digest_of(path) for path in sorted(files.iterdir())} | published
    materials = {**tree.materials(), **image.materials()}
    statement = provenance.statement(version, registry.name, tree.identity(), subjects, materials, os.environ)
    told = files / "provenance.json"
    told.write_text(json.dumps(statement, indent=2, sort_keys=True) + "\n")
    (files / SUMS).write_text(
        "".join(f"{digest_of(path).removeprefix('sha256:')}  {path.name}\n" for path in sorted(files.iterdir()))
    )
    signer.sign_file(files / SUMS)
    signer.attest_files(told)
    predicate = scratch / "predicate.json"
    predicate.write_text(json.dumps(statement["predicate"]))
    for name, digest in published.items():
        signer.sign(f"{name}@{digest}")
        signer.attest(f"{name}@{digest}", "slsaprovenance1", predicate)
    signer.attest(f"{repository}@{image.digest}", "cyclonedx", files / "sbom.cdx.json")
    return files


def digest_of(path: Path) -> str:
    """What is in a file, as registries name it."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def main(version: str, registry: str, key: str, sbom: str, licenses: str, base: str = "") -> int:
    """The exit code."""
    # The same modes on every machine.
    os.umask(0o022)
    into = ROOT / "build" / "release" / version
    into.parent.mkdir(parents=True, exist_ok=True)
    try:
        check(version, ROOT)
        with TemporaryDirectory(dir=into.parent, prefix="making-") as scratch:
            signer = Signer(ROOT, Path(key), Path(scratch))
            made = release(version, Registry(registry), signer, (Path(sbom), Path(licenses)), base or None, Path(scratch))
            shutil.rmtree(into, ignore_errors=True)
            made.rename(into)
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    sys.stdout.write(f"Published, and signed:\n{(into / 'images.txt').read_text()}Written: {into.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
