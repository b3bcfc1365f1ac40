"""A machine for one Kubernetes node: namespaces and cgroups of its own, and Debian's programs.

The machine has a network that leads nowhere else. What runs in it sees Debian's /usr read-only, a few empty
directories, and the directories that it is given, at the same paths as outside. When the test's process ends, by
whatever means, the kernel ends all that runs in it, and its mounts and network with it. Cgroups and files outlive that:
they are removed in the end, and else before the next machine starts.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.cached import kept, remove
from tests.support.roots import Program, RootError, root, run_program
from tests.support.waiting import comes_true, patient

START_SECONDS = 10.0
END_SECONDS = 20.0
RUN_SECONDS = 60.0
CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "tidings-kube-"
PACKAGES = (
    *("conntrack", "containerd", "containernetworking-plugins", "etcd-server", "iproute2", "ipset", "iptables"),
    *("prometheus", "runc"),
)
ADDRESS = "10.99.0.1"
"""Of the node, in its own network."""

# A cgroup of this name in each hierarchy. What has no processors (version 1: cpuset) takes none in.
_JOIN = r"""
set -eu
name=$1; shift
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    set -- /sys/fs/cgroup "$@"; mkdir "$1/$name"; echo $$ >"$1/$name/cgroup.procs"; shift
else
    for above in /sys/fs/cgroup/*/; do
        [ -e "$above/cgroup.procs" ] || continue
        mkdir -p "$above/$name"
        for kind in cpus mems; do
            [ ! -e "$above/cpuset.$kind" ] || cat "$above/cpuset.$kind" >"$above/$name/cpuset.$kind"
        done
        echo $$ >"$above/$name/cgroup.procs"
    done
fi
exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child=KILL "$@"
"""

# The directory of the machine is its root until the end of this: a file system in memory, and parts of others.
_BOOT = r"""
set -eu
debian=$1 run=$2 address=$3; shift 3
mount --make-rprivate /
mkdir -p "$run/root"
mount -t tmpfs -o mode=755 tmpfs "$run/root"
cd "$run/root"
mkdir dev etc opt proc root run sys tmp usr var old
mkdir var/lib var/log var/tmp
chmod 1777 tmp var/tmp
for link in bin sbin lib lib64; do ln -s "usr/$link" "$link"; done
mount --bind "$debian/usr" usr
mount -o remount,bind,ro usr
cp -a "$debian/etc/." etc
echo "127.0.0.1 localhost" >etc/hosts
: >etc/resolv.conf
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mkdir sys/fs/cgroup/inside
    echo $$ >sys/fs/cgroup/inside/cgroup.procs
    sed 's/\</+/g' sys/fs/cgroup/cgroup.controllers >sys/fs/cgroup/cgroup.subtree_control
else
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    sed -n 's/^[0-9]*:\([^:][^:]*\):.*/\1/p' /proc/self/cgroup | while read -r names; do
        mkdir "sys/fs/cgroup/${names#name=}"
        case $names in name=*) named=none, ;; *) named= ;; esac
        mount -t cgroup -o "$named$names" cgroup "sys/fs/cgroup/${names#name=}"
        for name in $(echo "$names" | tr , ' '); do
            [ -e "sys/fs/cgroup/${name#name=}" ] || ln -s "$names" "sys/fs/cgroup/$name"
        done
    done
fi
for folder in "$run" "$@"; do mkdir -p ".$folder"; mount --bind "$folder" ".$folder"; done
hostname node
ip link set lo up
ip link add node0 type bridge
ip address add "$address/24" dev node0
ip link set node0 up
ip route add default dev node0
pivot_root . old
cd /
mount --make-rshared /
exec sh -c '
    umount -l /old && rmdir /old
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
    : >"$1/up"
    while :; do sleep 3600 & wait $!; done' init "$run"
"""

# What comes in from outside joins the cgroup of what is inside.
_ENTERED = r"""
if [ -e /sys/fs/cgroup/inside ]; then echo $$ >/sys/fs/cgroup/inside/cgroup.procs
else for group in /sys/fs/cgroup/*/; do echo $$ >"$group/cgroup.procs"; done; fi
exec "$@"
"""


class Node(Program):
    """The machine. `directory` is the one that programs in it may write to."""

    def __init__(self, seen: Sequence[Path]) -> None:
        """`seen` are directories of this machine that are there, too."""
        debian = root("trixie", *PACKAGES)
        _sweep()
        self.name = PREFIX + secrets.token_hex(4)
        self.directory = kept("kube") / self.name
        self.directory.mkdir()
        self._lock = (self.directory / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.directory / "log").mkdir()
        folders = [str(self.directory), ADDRESS, *map(str, seen)]
        boot = ["sh", "-c", _BOOT, "boot", str(debian.path), *folders]
        super().__init__(["sh", "-c", _JOIN, "join", self.name, *boot], self.directory)
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._path = os.pathsep.join([*map(str, seen), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])

    def start(self) -> None:
        """Return once it is up. Raises RootError."""
        super().start()
        if not comes_true(lambda: (self.directory / "up").exists() or self.code is not None, START_SECONDS):
            raise RootError(f"the node does not start:\n{self.said()}")
        if self.code is not None:
            raise RootError(f"the node has ended:\n{self.said()}")

    def _enter(self, *namespaces: str) -> list[str]:
        (first,) = self._shells()
        return ["nsenter", "--target", str(first), *namespaces]

    def network(self) -> list[str]:
        """What runs a program of this machine in the network of the node."""
        return self._enter("--net")

    def spawn(self, name: str, *command: str) -> None:
        """Start a server in it, which ends with it. What the server says is in `log/NAME`."""
        inside = self._enter(*(f"--{each}" for each in ("mount", "pid", "net", "uts", "ipc", "cgroup", "root")), "--wd")
        with (self.directory / "log" / name).open("ab") as log:
            server = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *inside, "sh", "-c", _ENTERED, "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": self._path, "HOME": "/root", "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        self._servers[name] = server

    def run(self, *command: str, seconds: float = RUN_SECONDS) -> str:
        """Run a short program in it; what the program wrote. Raises RootError when it fails."""
        inside = self._enter("--mount", "--pid", "--net", "--cgroup", "--root", "--wd")
        return run_program([*inside, *command], patient(seconds))

    def ended(self) -> list[str]:
        """Those of its servers that run no more."""
        return [name for name, server in self._servers.items() if server.poll() is not None]

    def last_words(self) -> str:
        """The last of what its servers have said."""
        logs = sorted((self.directory / "log").iterdir())
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def close(self) -> None:
        """End all of it, and remove what it leaves."""
        super().close()
        for server in self._servers.values():
            server.kill()
            server.wait()
        _remove(self.directory)
        self._lock.close()


def _sweep() -> None:
    """Remove what machines have left whose tests were killed."""
    for path in kept("kube").glob(f"{PREFIX}*"):
        with suppress(OSError), (path / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)


def _remove(path: Path) -> None:
    # What the kernel kills is gone some moments later.
    deadline = time.monotonic() + patient(END_SECONDS)
    for group in _groups(path.name):
        while group.exists():
            for below in sorted(filter(Path.is_dir, group.rglob("*")), reverse=True):
                with suppress(OSError):
                    below.rmdir()
            try:
                group.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    remove(path)


def _groups(name: str) -> Iterator[Path]:
    """The cgroups of a machine."""
    yield from (path for path in (CGROUPS / name, *(CGROUPS.glob(f"*/{name}"))) if path.is_dir())
