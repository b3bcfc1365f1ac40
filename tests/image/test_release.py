"""A release: what users get of it, how they know whose it is, and that it can be made again."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
from base64 import b64decode
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import helm_python as helm
import pytest

from asyncio_pprof import __version__ as profiler_version
from scripts.release.registry import Registry
from scripts.release.running import ReleaseError
from tests.image.engine import PYTHON_PACKAGES
from tests.image.releases import (
    NO_LOG,
    PUBLISHED,
    ROOT,
    VERSION,
    Keys,
    Machine,
    NoReleaseError,
    Release,
    cloned,
    cosign,
    make,
    verifies,
)
from tests.support.chart import files
from tests.support.node import node
from tests.support.rendered import Rendered
from tests.support.roots import root

SIGNATURES = ".sigstore.json"
INSTALL = re.compile(r"^helm install \S+ oci://.*$", re.MULTILINE)


def attested(keys: Keys, kind: str, reference: str) -> dict[str, Any]:
    """What is said of an image or a chart, by whoever has the key."""
    done = cosign("verify-attestation", "--key", str(keys.public), NO_LOG, "--type", kind, reference)
    assert done.returncode == 0, done.stderr
    # A release that was made twice has two signatures of the same.
    (payload,) = {json.loads(line)["payload"] for line in done.stdout.splitlines()}
    statement = json.loads(b64decode(payload))
    assert isinstance(statement, dict)
    return statement


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--quiet", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_readmes_line_installs_what_was_published(released: Release, tmp_path: Path) -> None:
    (line,) = INSTALL.findall((ROOT / "README.md").read_text())
    *_, name, chart, flag, wanted = shlex.split(line)
    assert (flag, wanted) == ("--version", VERSION)
    chart = chart.replace("registry.example", released.registry)
    with helm.RegistryClient(plain_http=True) as client:
        client.pull(chart, destination=tmp_path, version=wanted, plain_http=True)
    (archive,) = tmp_path.glob("*.tgz")
    with helm.Chart.load(archive) as loaded:
        rendered = Rendered.of_files(files(loaded, {}, name))
    deployments = [each for each in rendered.objects if each["kind"] in ("Deployment", "StatefulSet")]
    images = {one["image"] for each in deployments for one in each["spec"]["template"]["spec"]["containers"]}
    assert {image for image in images if "rabbitmq" not in image} == {released.image}


def test_pip_installs_the_wheel_by_its_hash(released: Release, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    wanted = ("--require-hashes", "--no-deps", "--requirement", str(released.files / "requirements.txt"))
    where = ("--find-links", str(released.files))
    done = pip("--python", str(venv / "bin" / "python"), "install", "--no-compile", *wanted, *where)
    assert done.returncode == 0, done.stderr
    said = subprocess.run([venv / "bin" / "tidings", "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"tidings {VERSION}\n"


def test_pip_installs_the_profiler_alone(released: Release, tmp_path: Path) -> None:
    (wheel,) = released.files.glob("asyncio_pprof-*.whl")
    done = pip(
        "install", "--no-compile", "--no-index", "--no-deps", "--target", str(tmp_path / "installed"), str(wheel)
    )
    assert done.returncode == 0, done.stderr
    (installed,) = distributions(path=[str(tmp_path / "installed")])
    assert (installed.name, installed.version) == ("asyncio-pprof", profiler_version)


def test_dpkg_installs_the_services_on_debian(released: Release, tmp_path: Path) -> None:
    (package,) = released.files.glob("tidings_*.deb")
    with root("bookworm", *PYTHON_PACKAGES).copied(tmp_path / "root") as debian:
        (debian.path / "var/tmp/tidings.deb").write_bytes(package.read_bytes())
        debian.run("dpkg", "--install", "/var/tmp/tidings.deb")
        assert debian.run("tidings", "--version") == f"tidings {VERSION}\n"


def test_the_packages_for_mail_servers_and_webmails_have_the_version(released: Release) -> None:
    shown = ("dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}")
    packages = released.files.glob("tidings-*.deb")
    assert {subprocess.check_output([*shown, package], text=True) for package in packages} == {
        f"tidings-{name} {VERSION} all" for name in ("dovecot", "roundcube")
    }
    with ZipFile(released.files / f"tidings-roundcube-{VERSION}.zip") as plugin:
        assert json.loads(plugin.read("composer.json"))["version"] == VERSION


def test_pip_takes_no_wheel_with_another_byte(released: Release, tmp_path: Path) -> None:
    (wheel,) = released.files.glob("tidings-*.whl")
    changed(wheel, tmp_path / wheel.name)
    # The last of the file is the wheel; where the others come from makes no difference here.
    entry = (released.files / "requirements.txt").read_text().rpartition("\ntidings==")[2]
    (tmp_path / "wanted.txt").write_text(f"tidings=={entry}")
    wanted = ("--require-hashes", "--no-deps", "--requirement", str(tmp_path / "wanted.txt"))
    refused = pip("download", *wanted, "--no-index", "--find-links", str(tmp_path), "--dest", str(tmp_path / "got"))
    assert refused.returncode
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    taken = pip("download", *wanted, "--no-index", "--find-links", str(released.files), "--dest", str(tmp_path / "got"))
    assert taken.returncode == 0, taken.stderr


def test_npm_installs_the_client(released: Release, tmp_path: Path) -> None:
    (tarball,) = released.files.glob("tidings-client-*.tgz")
    (tmp_path / "package.json").write_text('{"name": "consumer", "private": true}')
    npm = ["npm", "install", "--offline", "--no-audit", "--no-fund", "--silent", str(tarball)]
    subprocess.run(npm, cwd=tmp_path, check=True)
    script = "import('tidings-client').then((all) => console.log(Object.keys(all).includes('SharedClient')))"
    assert subprocess.check_output([node(), "--eval", script], cwd=tmp_path, text=True) == "true\n"


@pytest.mark.parametrize("name", PUBLISHED)
def test_images_and_charts_are_signed_and_say_how_they_were_made(released: Release, keys: Keys, name: str) -> None:
    reference = released.exactly(name)
    assert verifies(keys, "verify", reference)
    statement = attested(keys, "slsaprovenance1", reference)
    assert statement["subject"][0]["digest"] == {"sha256": reference.rpartition(":")[2]}
    commit = subprocess.check_output(["git", "-C", released.repository, "rev-parse", "HEAD"], text=True).strip()
    materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"gitCommit": commit} in [each["digest"] for each in materials]


def test_the_image_has_its_bill_of_materials(released: Release, keys: Keys) -> None:
    bill = attested(keys, "cyclonedx", released.image)["predicate"]
    assert bill == json.loads((released.files / "sbom.cdx.json").read_text())
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE)
    assert "aio-pika" in {component["name"] for component in bill["components"]} & set(locked)


def test_another_key_does_not_verify(released: Release, tmp_path: Path) -> None:
    other = Keys.generated(tmp_path)
    assert not verifies(other, "verify", released.image)
    sums = released.files / "SHA256SUMS"
    assert not verifies(other, "verify-blob", "--bundle", f"{sums}{SIGNATURES}", str(sums))


def test_every_file_is_in_the_sums_and_they_are_signed(released: Release, keys: Keys, tmp_path: Path) -> None:
    sums = released.files / "SHA256SUMS"
    bundle = f"{sums}{SIGNATURES}"
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums.name], cwd=released.files, check=True)
    listed = {line.split()[1] for line in sums.read_text().splitlines()}
    unlisted = {sums.name, f"{sums.name}{SIGNATURES}", f"provenance.json{SIGNATURES}"}
    assert {path.name for path in released.files.iterdir()} == listed | unlisted
    assert verifies(keys, "verify-blob", "--bundle", bundle, str(sums))
    other = changed(sums, tmp_path / sums.name)
    assert not verifies(keys, "verify-blob", "--bundle", bundle, str(other))


def test_the_files_say_how_they_were_made(released: Release, keys: Keys, tmp_path: Path) -> None:
    (wheel,) = released.files.glob("tidings-*.whl")
    proof = ("--bundle", str(released.files / f"provenance.json{SIGNATURES}"), "--type", "slsaprovenance1")
    assert verifies(keys, "verify-blob-attestation", *proof, str(wheel))
    other = changed(wheel, tmp_path / wheel.name)
    assert not verifies(keys, "verify-blob-attestation", *proof, str(other))


def test_a_second_release_is_the_same_bytes(released: Release, base: str, keys: Keys, tmp_path: Path) -> None:
    repository = cloned(released.repository, tmp_path / "elsewhere")
    again = make(repository, released.registry, base, keys, Machine(env={"TZ": "Asia/Tokyo"}))
    assert again.digests == released.digests
    assert sums_of(again.files) == sums_of(released.files)


def test_what_is_not_in_the_commit_is_not_released(released: Release, base: str, keys: Keys, tmp_path: Path) -> None:
    repository = cloned(released.repository, tmp_path / "elsewhere")
    (repository / "services" / "tidings" / "new.py").touch()
    with pytest.raises(NoReleaseError, match=r"commit first.*\n.*services/tidings/new\.py"):
        make(repository, released.registry, base, keys)


def test_what_was_released_stays(released: Release) -> None:
    registry = Registry(released.registry)
    tagged, _, digest = released.image.partition("@")
    registry.refuse_another(f"{tagged}:{VERSION}", digest)
    registry.refuse_another(f"{tagged}:99.0.0", "sha256:another")
    registry.refuse_another(f"{released.registry}/unheard-of:{VERSION}", digest)
    with pytest.raises(ReleaseError, match=rf"tidings:{VERSION} is released already, as {digest}"):
        registry.refuse_another(f"{tagged}:{VERSION}", "sha256:another")


def changed(path: Path, copy: Path) -> Path:
    """A copy with one other byte."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    return copy


def sums_of(directory: Path) -> dict[str, str]:
    """Digests of the files, without signatures: each is another."""
    found = (path for path in directory.iterdir() if not path.name.endswith(SIGNATURES))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
