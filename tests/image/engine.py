"""A container engine: the one that is running, or Docker's, started for the tests and gone afterwards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.roots import RootError, root, run_program

START_SECONDS = 60.0
PULL_SECONDS = 120.0
BUILD_SECONDS = 480.0
ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
PYTHON_PACKAGES = ("python3", "python3-venv", "python3-pip", "ca-certificates")


class EngineError(Exception):
    """There is no engine, or it cannot do what is asked; the text says why."""


class Engine:
    """Docker's command line, at one engine."""

    def __init__(self, host: str | None) -> None:
        # The builder that needs no plugin of the command line.
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "0", **({"DOCKER_HOST": host} if host else {})}

    def __call__(self, *arguments: str, seconds: float = 60.0) -> str:
        """Run a command; what it prints. Raises EngineError when it fails."""
        command = ["docker", *arguments]
        try:
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=seconds, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{' '.join(command)}: {error}") from None
        if done.returncode:
            raise EngineError(f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout.strip()

    def answers(self) -> bool:
        """Whether there is an engine behind the command line."""
        try:
            self("version", "--format", "{{.Server.Version}}", seconds=10.0)
        except EngineError:
            return False
        return True

    def restricted(self, name: str, image: str, paths: Sequence[Path], env: Sequence[str]) -> list[str]:
        """The program that runs an image as Kubernetes would: nothing to write to but `paths`, no capability."""
        return [
            *("docker", "run", "--rm", "--name", name, "--network", "host"),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *(part for path in paths for part in ("--volume", f"{path}:{path}")),
            *(part for variable in env for part in ("--env", variable)),
            image,
        ]


@contextmanager
def engine() -> Iterator[Engine]:
    """The running one, else one of our own. Raises EngineError when neither can be had."""
    if shutil.which("docker") is None:
        raise EngineError("no container engine: install one with `apt-get install docker.io`")
    running = Engine(None)
    if running.answers():
        yield running
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise EngineError("no container engine runs, and one can be started only by root, with dockerd installed")
    home = Path(tempfile.mkdtemp(prefix="tidings-engine-"))
    try:
        with _own(home) as own:
            yield own
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _own(home: Path) -> Iterator[Engine]:
    """An engine without networks of its own: containers use the host's."""
    address = f"unix://{home}/docker.sock"
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "TERM", "dockerd", "--host", address, "--bridge=none", "--iptables=false"),
                *("--data-root", str(home / "data"), "--exec-root", str(home / "run")),
                *("--pidfile", str(home / "pid")),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        own = Engine(address)
        deadline = time.monotonic() + START_SECONDS
        while not own.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise EngineError(f"dockerd did not start:\n{(home / 'log').read_text()[-3000:]}")
            time.sleep(0.2)
        yield own
    finally:
        process.terminate()
        process.wait()


def provide(docker: Engine, name: str) -> str:
    """Have the engine know an image by this name of Python's; where it came from."""
    if docker("image", "ls", "--quiet", name):
        return "there already"
    try:
        docker("pull", "--quiet", name, seconds=PULL_SECONDS)
    except EngineError as error:
        refused = str(error).strip().splitlines()[-1]
    else:
        return "pulled"
    _make_python(docker, name)
    return f"made of Debian's packages, since it cannot be pulled ({refused})"


def _make_python(docker: Engine, name: str) -> None:
    """Debian's Python under the name of Docker's: the same commands, another version, larger."""
    try:
        with tempfile.TemporaryDirectory(prefix="tidings-base-") as directory:
            with root("bookworm", *PYTHON_PACKAGES).copied(Path(directory) / "root") as place:
                _disguise(place.path)
                archive = Path(directory) / "base.tar"
                run_program(
                    ["tar", "--directory", str(place.path), "--create", "--file", str(archive), "."], BUILD_SECONDS
                )
            docker("import", str(archive), name, seconds=PULL_SECONDS)
    except RootError as error:
        raise EngineError(f"{name} cannot be pulled, and none can be made: {error}") from None


def _disguise(place: Path) -> None:
    """Have it look like the image of Docker's."""
    (place / "usr/bin/python").symlink_to("python3")
    for marker in place.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    # Where packages come through a proxy, the host's certificates are the ones that count.
    shutil.copyfile(Path("/") / CERTIFICATES, place / CERTIFICATES)
    for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(place / waste)


def base_name() -> str:
    """The name of the image that ours is built on."""
    (named,) = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return str(named)


def build(docker: Engine, tag: str, *arguments: str) -> str:
    """Build the image from this tree, under a name; where its base image came from."""
    origin = provide(docker, named := base_name())
    command = ("build", "--network", "host", "--file", str(DOCKERFILE), "--tag", tag, *arguments, str(ROOT))
    docker(*command, seconds=BUILD_SECONDS)
    return f"{named}: {origin}"
