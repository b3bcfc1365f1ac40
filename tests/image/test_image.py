"""The image: what it says of itself, and what whoever runs in it may do."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version

from tests.image.engine import Engine
from tests.image.releases import Release
from tests.image.suite import UID


def test_labels_and_command_say_the_version(docker: Engine, image: str, released: Release) -> None:
    commit = subprocess.check_output(["git", "-C", released.repository, "rev-parse", "HEAD"], text=True).strip()
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert labels["org.opencontainers.image.version"] == version("tidings")
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert docker("run", "--rm", "--network", "host", image, "--version") == f"tidings {version('tidings')}"


def test_it_is_nobody_and_holds_no_capability(docker: Engine, image: str) -> None:
    program = docker.restricted("tidings-status", image, (), ())
    status = docker(*program[1:-1], "--entrypoint", "cat", image, "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == [str(UID)] * 4
    assert fields["Gid"].split() == [str(UID)] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_nothing_in_it_is_its_users_to_change_but_the_data(docker: Engine, image: str) -> None:
    look = ["/data", "/opt", "/usr", "-user", str(UID)]
    found = docker("run", "--rm", "--network", "host", "--user", "0", "--entrypoint", "find", image, *look)
    assert set(found.splitlines()) == {"/data", "/data/mail", "/data/state"}
