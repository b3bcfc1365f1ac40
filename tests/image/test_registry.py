"""A release to a registry as others run them: with TLS, a certificate that no machine knows by itself, and logins."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.release.registry import Registry
from scripts.release.running import ReleaseError
from tests.image.releases import PUBLISHED, VERSION, Keys, Machine, Release, cloned, make, verifies
from tests.support.registry import registry
from tests.support.tls import make_certificate

HOST = "registry.example"
NAME, PASSWORD = "maintainer", "password-of-tests"
USERS = f"{NAME}:$2b$05$abcdefghijklmnopqrstuu6T5RlpMnnj3QUcxxbpww5ugNFMEVpK2\n"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
HOSTS = 'mount --bind "$1" /etc/hosts; shift; exec "$@"'
"""Names of the machine's own: the mount is that of one process, and gone with it."""


def machine(directory: Path, certificate: Path) -> Machine:
    """One that knows the host, and the certificate, with a home where nobody has logged in."""
    hosts = directory / "hosts"
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n127.0.0.1 {HOST}\n")
    known = Path(ssl.get_default_verify_paths().cafile or CERTIFICATES)
    trusted = directory / "trusted.pem"
    trusted.write_bytes(known.read_bytes() + certificate.read_bytes())
    home = directory / "home"
    home.mkdir()
    for path in Path.home().iterdir():
        if path.name != ".docker":
            (home / path.name).symlink_to(path)
    # A proxy of this machine would not know the host.
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY"), HOST)))
    environment = {"HOME": str(home), "SSL_CERT_FILE": str(trusted), "NO_PROXY": direct, "no_proxy": direct}
    return Machine(("unshare", "--mount", "sh", "-euc", HOSTS, "sh", str(hosts)), environment)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[tuple[str, Machine]]:
    """The registry, and a machine that has logged in."""
    certificate = make_certificate(tmp_path, f"DNS:{HOST}")
    with registry(certificate, USERS) as address:
        name = f"{HOST}:{address.rpartition(':')[2]}"
        ours = machine(tmp_path, certificate)
        login = ("--authfile", f"{ours.env['HOME']}/.docker/config.json", "--username", NAME, "--password", PASSWORD)
        done = ours.run("buildah", "login", *login, name)
        assert done.returncode == 0, done.stderr
        yield name, ours


def test_what_was_released_is_not_replaced_because_nobody_could_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry(users=USERS) as name, pytest.raises(ReleaseError, match=f"{name} cannot be asked .*credential"):
        Registry(name).refuse_another(f"{name}/tidings:{VERSION}", "sha256:another")


def test_it_takes_all_of_it(
    released: Release, base: str, keys: Keys, remote: tuple[str, Machine], tmp_path: Path
) -> None:
    name, ours = remote
    made = make(cloned(released.repository, tmp_path / "elsewhere"), name, base, keys, ours)
    assert made.digests[f"{name}/tidings"] == released.digests[f"{released.registry}/tidings"]
    assert {reference.removeprefix(f"{name}/") for reference in made.digests} == set(PUBLISHED)
    for published in PUBLISHED:
        assert verifies(keys, "verify", made.exactly(published), machine=ours)
