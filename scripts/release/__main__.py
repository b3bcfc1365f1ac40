"""Make a release of the commit that is checked out: build all of it, push images and charts, sign everything.

    COSIGN_PASSWORD=... python -m scripts.release VERSION REGISTRY KEY [BASE]

KEY is a private key of cosign's. BASE is an image to build on in place of the one that docker/Dockerfile names. Files
are written to build/release/VERSION.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.release import charts, packages, provenance
from scripts.release.images import Image
from scripts.release.registry import Registry
from scripts.release.running import ReleaseError
from scripts.release.signing import Signer
from scripts.release.tree import Tree
from scripts.release.versions import check

ROOT = Path(__file__).resolve().parents[2]
SUMS = "SHA256SUMS"


def release(version: str, registry: Registry, signer: Signer, base: str | None, scratch: Path) -> Path:
    """Make it; the directory with its files. Nothing is pushed before everything is built."""
    tree = Tree.of_the_commit(ROOT, scratch / "tree")
    files = scratch / "files"
    files.mkdir()
    wheel = packages.wheel(tree, files)
    packages.requirements(tree, wheel, files / "requirements.txt")
    packages.client(tree, ROOT, files)
    packages.bill_of_materials(tree, files)
    image = Image.built(tree, version, base, registry, scratch / "images")
    repository = f"{registry.name}/tidings"
    registry.refuse_another(f"{repository}:{version}", image.digest)
    charts.pin(tree, repository, image.digest)
    packed = charts.pack(tree, files)

    image.push(f"{repository}:{version}")
    published = {
        repository: image.digest,
        **{f"{registry.charts}/{name}": registry.push(packed[name]) for name in packed},
    }
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


def main(version: str, registry: str, key: str, base: str | None = None) -> int:
    """The exit code."""
    # The same modes on every machine.
    os.umask(0o022)
    into = ROOT / "build" / "release" / version
    into.parent.mkdir(parents=True, exist_ok=True)
    try:
        check(version, ROOT)
        with TemporaryDirectory(dir=into.parent, prefix="making-") as scratch:
            signer = Signer(ROOT, Path(key), Path(scratch))
            made = release(version, Registry(registry), signer, base, Path(scratch))
            shutil.rmtree(into, ignore_errors=True)
            made.rename(into)
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    sys.stdout.write(f"Published, and signed:\n{(into / 'images.txt').read_text()}Written: {into.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
