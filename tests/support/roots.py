"""Roots of other Debian releases: for servers that must not be on this machine, or exclude each other.

A root is a directory that debootstrap has made and apt-get has filled. It is kept between runs, in the cache directory
of the user ($XDG_CACHE_HOME, or ~/.cache), one for each release and set of packages. What is missing is made by whoever
needs it first, while all others wait. All of it takes root.

A program runs in namespaces of its own for processes and mounts. It sees its root read-only, empty directories where
programs write (/run, /tmp, /var/tmp, /dev), and the directories that its test names, at the same paths as outside. The
network is this machine's. When the test's process ends, by whatever means, the kernel ends all of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.cached import kept, made
from tests.support.started import Started
from tests.support.waiting import patient

RECIPE = 1
"""To be raised when the roots that are there have to be made anew."""
MAKE_SECONDS = 1_800
RUN_SECONDS = 60.0
STOP_SECONDS = 20.0
LAST_WORDS = 4_000
REPOSITORY = Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Mounts are the namespace's own, and gone with it.
_ENTER = r"""
set -eu
root=$1 shown=$2 mode=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir -m 1777 "$root/dev/shm"
if [ "$mode" = ro ]; then
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t tmpfs -o mode=1777 tmpfs "$root/var/tmp"
    mkdir -m 1777 "$root/run/lock"
fi
if [ -n "$shown" ]; then
    ln -s "$shown/dev-log" "$root/dev/log"
    mkdir -p "$root$shown"; mount --rbind "$shown" "$root$shown"
fi
[ "$mode" = rw ] || mount -o remount,bind,ro "$root"
cd "$root"
# Not in place of this shell: a program that takes another user's id forgets that it is to end with its parent, and
# what is left of a process namespace ends with its first process.
chroot "$root" "$@" &
wait $!
"""


class RootError(Exception):
    """A root cannot be made, or a program in it did not do what it should; the text has what the program said."""


class Root:
    """A root that is there. Its programs may write to it where it is `mode` rw: only to a copy."""

    def __init__(self, path: Path, mode: str = "ro") -> None:
        self.path = path
        self._mode = mode

    @contextmanager
    def copied(self, to: Path) -> Iterator[Root]:
        """A copy that programs may write to, and that is gone afterwards."""
        run_program(["cp", "--archive", "--reflink=auto", str(self.path), str(to)], MAKE_SECONDS)
        try:
            yield Root(to, "rw")
        finally:
            shutil.rmtree(to)

    def run(self, *command: str, shown: Path | None = None, seconds: float = RUN_SECONDS) -> str:
        """Run a short program; what it wrote to its standard output. Raises RootError when it fails.

        `shown`: the one directory of the test that it sees, and may write to.
        """
        entered = entering(self.path, shown, self._mode, command)
        return run_program(entered, patient(seconds))

    def start(self, *command: str, shown: Path) -> Program:
        """A server, not started yet. What it says is in `shown / "output"`; /dev/log is `shown / "dev-log"`."""
        return Program(entering(self.path, shown, self._mode, command), shown)


class Program(Started):
    """A server in a root."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self._command = command
        self._output = directory / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. Whether it serves, its test has to find out."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
            )

    @property
    def pids(self) -> list[int]:
        """Its processes, as numbered outside; the first one is the program that was started."""
        found: list[int] = []
        todo = [child for pid in self._shells() for child in _children(pid)]
        while todo:
            found += todo
            todo = [child for pid in todo for child in _children(pid)]
        return found

    def _shells(self) -> list[int]:
        """The first process of the namespace."""
        return [] if self._process is None else _children(self._process.pid)

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended."""
        return None if self._process is None else self._process.poll()

    def said(self) -> str:
        """The last that it wrote to its standard output and error."""
        return self._output.read_text(errors="replace")[-LAST_WORDS:] if self._output.exists() else ""

    def run(self, *command: str, seconds: float = RUN_SECONDS) -> str:
        """Run a short program beside it, which sees what it sees; what that wrote. Raises RootError when it fails."""
        inside = ("nsenter", "--target", str(self.pids[0]), "--mount", "--pid", "--root", "--wd", "--")
        return run_program([*inside, *command], patient(seconds))

    def stop(self) -> None:
        """End it as an operator would, with SIGTERM."""
        assert self._process is not None
        for pid in self.pids[:1]:
            os.kill(pid, signal.SIGTERM)
        try:
            self._process.wait(patient(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            self.close()

    def close(self) -> None:
        """Kill all of it."""
        if self._process is not None:
            for pid in self._shells():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()


def root(release: str, *packages: str) -> Root:
    """The root of a Debian release ("bookworm", "trixie") with these packages; made when it is not there yet.

    Raises RootError when it cannot be made.
    """
    if os.geteuid() != 0:
        raise RootError("a root of another Debian release takes root, to be made and to be used")
    wanted = " ".join(sorted(packages))
    key = hashlib.sha256(f"{RECIPE} {release} {wanted}".encode()).hexdigest()[:12]
    return Root(made(kept("roots") / f"{release}-{key}", lambda making: _make(making, release, packages)))


def _make(making: Path, release: str, packages: Sequence[str]) -> None:
    if packages:
        run_program(["cp", "--archive", "--reflink=auto", str(root(release).path), str(making)], MAKE_SECONDS)
        apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq")
        for command in (
            (*apt, "update"),
            (*apt, "install", "--yes", "--no-install-recommends", *packages),
            (*apt, "clean"),
        ):
            run_program(entering(making, None, "rw", command), MAKE_SECONDS)
    else:
        _bootstrap(making, release)


def _bootstrap(making: Path, release: str) -> None:
    run_program([str(REPOSITORY / "scripts" / "apt-install"), "debootstrap"], MAKE_SECONDS)
    mirror = _mirror()
    run_program(["debootstrap", "--variant=minbase", release, str(making), mirror], MAKE_SECONDS)
    # Nothing is started when it is installed (invoke-rc.d(8)).
    policy = making / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # As this machine reaches the mirror, so does apt-get in there.
    shutil.copy("/etc/resolv.conf", making / "etc/resolv.conf")
    if (own := Path("/etc/apt/apt.conf.d")).is_dir():
        shutil.copytree(own, making / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    (making / "etc/apt/sources.list").write_text(f"deb {mirror} {release} main\n")


def _mirror() -> str:
    """The mirror of Debian that this machine's apt-get uses. Raises RootError where it uses none."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=False
    )
    uris = [uri.rstrip("/") for uri in listed.stdout.split()]
    found = next((uri for uri in uris if uri.endswith("/debian")), None)
    if found is None:
        raise RootError("apt-get on this machine names no mirror of Debian: a root of another release needs one")
    return found


def entering(path: Path, shown: Path | None, mode: str, command: Sequence[str]) -> list[str]:
    """What runs a command in a root: see Root.run. Its environment is that of who runs it."""
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"),
        *("sh", "-c", _ENTER, "enter", str(path), str(shown or ""), mode, *command),
    ]


def run_program(command: Sequence[str], seconds: float) -> str:
    """Run a program of this machine; what it wrote. Raises RootError when it fails, or takes longer."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RootError(f"{command[0]} took longer than {seconds:.0f} s") from None
    if done.returncode:
        said = f"{done.stdout[-LAST_WORDS:]}{done.stderr[-LAST_WORDS:]}"
        raise RootError(f"{command[0]} ... {' '.join(command[-3:])} (exit code {done.returncode}):\n{said}")
    return done.stdout


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {**kept, "PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}


def first_inside(pid: int) -> int | None:
    """The program that `entering` has started, by the process that was started for it."""
    inside = [child for shell in _children(pid) for child in _children(shell)]
    return inside[0] if inside else None


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
