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
from collections.abc import Mapping
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
SHA256 = "sha256:"


def release(version: str, registry: Registry, signer: Signer, base: str | None, scratch: Path) -> Path:
    """Make it; the directory with its files. Nothing is pushed before everything is built."""
    tree = Tree.of_the_commit(ROOT, scratch / "tree")
    files = scratch / "files"
    files.mkdir()
    wheel = packages.wheel(tree, files)
    packages.requirements(tree, wheel, files / "requirements.txt")
    packages.client(tree, ROOT, files)
    packages.debian(tree, files)
    packages.bill_of_materials(tree, files)
    image = Image.built(tree, version, base, scratch / "images")
    repository = f"{registry.name}/tidings"
    tagged = f"{repository}:{version}"
    registry.refuse_another(tagged, image.digest)
    charts.pin(tree, repository, image.digest)
    packed = charts.pack(tree, files)

    image.push(tagged)
    published = {repository: image.digest}
    for name, archive in packed.items():
        published[f"{registry.charts}/{name}"] = registry.push(archive, name, version)
    (files / "images.txt").write_text("".join(f"{name}:{version}@{digest}\n" for name, digest in published.items()))

    materials = {**tree.materials(), **image.materials()}
    subjects = {**digests(files), **published}
    statement = provenance.statement(version, registry.name, tree.identity(), subjects, materials, os.environ)
    (files / "provenance.json").write_text(json.dumps(statement, indent=2) + "\n")
    sums = digests(files)
    (files / "SHA256SUMS").write_text(
        "".join(f"{digest.removeprefix(SHA256)}  {name}\n" for name, digest in sums.items())
    )
    sign(signer, files, published, statement["predicate"], scratch)
    signer.attest(f"{repository}@{image.digest}", "cyclonedx", files / "sbom.cdx.json")
    return files


def sign(signer: Signer, files: Path, published: Mapping[str, str], predicate: object, scratch: Path) -> None:
    """Sign all of it, and attach to each image and chart how it was made."""
    signer.sign_file(files / "SHA256SUMS")
    signer.attest_files(files / "provenance.json")
    made = scratch / "predicate.json"
    made.write_text(json.dumps(predicate))
    for name, digest in published.items():
        signer.sign(f"{name}@{digest}")
        signer.attest(f"{name}@{digest}", "slsaprovenance1", made)


def digests(files: Path) -> dict[str, str]:
    """What is in each file, as registries name it."""
    return {path.name: SHA256 + hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files.iterdir())}


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
