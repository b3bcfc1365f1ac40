"""The images that pods run, as archives that containerd takes: made once for each state of what they are made of."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.files import PAUSE
from tests.image.engine import BUILD_SECONDS, build, engine
from tests.support.cached import kept, made
from tests.support.chart import RABBITMQ, ROOT, TIDINGS
from tests.support.roots import MAKE_SECONDS, root, run_program

TAG = f"tidings:{yaml.safe_load((TIDINGS / 'Chart.yaml').read_text())['appVersion']}"
BROKER = f"docker.io/library/rabbitmq:{yaml.safe_load((RABBITMQ / 'Chart.yaml').read_text())['appVersion']}"
SOURCES = (
    "docker",
    "requirements",
    "services",
    "clients",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "docs/runbooks",
    "docs/reference",
)
LEFT_OUT = ("var/lib/apt/lists/*", "var/cache/*", "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*")
KEPT_SECONDS = 86_400
MADE = ("__pycache__", "node_modules")
"""What tests and builds leave among the sources."""


def images(programs: Path) -> list[Path]:
    """All of them. `programs` is where the program is that holds a pod's namespaces."""
    return [tidings(), broker(), pause(programs)]


def tidings() -> Path:
    """That of docker/Dockerfile."""
    return made(kept("kube") / f"tidings-{_key()}.tar", _tidings)


def _key() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        for path in sorted([ROOT / source, *(ROOT / source).rglob("*")]):
            if path.is_file() and not any(part in MADE for part in path.parts):
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _tidings(to: Path) -> None:
    with engine() as docker:
        build(docker, TAG)
        docker("save", "--output", str(to), TAG, seconds=BUILD_SECONDS)
    # Every change to the sources makes another one.
    for old in to.parent.glob("tidings-*.tar"):
        if old.stat().st_mtime < time.time() - KEPT_SECONDS:
            old.unlink()


def broker() -> Path:
    """Debian's newest RabbitMQ, by the name of the official image."""
    place = root("sid", "rabbitmq-server").path
    config = {
        "User": "999:999",
        "Cmd": ["rabbitmq-server"],
        "Env": [
            "PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME=/var/lib/rabbitmq",
            "LANG=C.UTF-8",
        ],
    }
    return made(kept("kube") / f"rabbitmq-{place.name}.tar", lambda to: _archive(to, place, BROKER, config))


def pause(programs: Path) -> Path:
    """What holds the namespaces of each pod."""

    def make(to: Path) -> None:
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(programs / "pause", directory)
            _archive(to, Path(directory), PAUSE, {"Entrypoint": ["/pause"], "User": "65535:65535"})

    return made(kept("kube") / f"pause-{programs.name}.tar", make)


def _archive(to: Path, place: Path, name: str, config: Mapping[str, Any]) -> None:
    """A directory as an image of one layer, in the form of `docker save`."""
    with tempfile.TemporaryDirectory(dir=to.parent) as made_in:
        directory = Path(made_in)
        excluded = [f"--exclude=./{each}" for each in LEFT_OUT]
        layer = directory / "layer.tar"
        run_program(["tar", "--directory", str(place), *excluded, "--create", "--file", str(layer), "."], MAKE_SECONDS)
        with layer.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        (directory / "config.json").write_text(json.dumps(document))
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        (directory / "manifest.json").write_text(json.dumps(manifest))
        run_program(["tar", "--directory", str(directory), "--create", "--file", str(to), "."], MAKE_SECONDS)
