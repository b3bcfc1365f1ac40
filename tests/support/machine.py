"""A Debian root that is booted: systemd is its first process, and starts services as on a machine of its own.

The network is this machine's. When the test's process ends, by whatever means, the kernel ends all of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.roots import STOP_SECONDS, Program, Root, RootError, run_program
from tests.support.waiting import comes_true, patient

BOOT_SECONDS = 60.0
RUN_SECONDS = 60.0

# What systemd(1) finds in a container: https://systemd.io/CONTAINER_INTERFACE/
_BOOT = r"""
set -eu
root=$1
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm" && mkdir "$root/dev/pts" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx" && ln -s /proc/self/fd "$root/dev/fd"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd,xattr systemd "$root/sys/fs/cgroup/systemd"
fi
cd "$root"
exec chroot "$root" env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --show-status=no --unit=basic.target
"""


class Machine(Program):
    """A booted root."""

    def __init__(self, root: Root, directory: Path) -> None:
        """`directory` is where what the boot says is kept."""
        isolated = ("unshare", "--mount", "--pid", "--cgroup", "--fork", "--kill-child=KILL")
        super().__init__([*isolated, "sh", "-c", _BOOT, "boot", str(root.path)], directory)
        self.path = root.path

    def boot(self) -> None:
        """Start it, and wait until its services can be started. Raises RootError."""
        self.start()
        if not comes_true(self._is_up, BOOT_SECONDS):
            raise RootError(f"the machine does not boot:\n{self.said()}")

    def _is_up(self) -> bool:
        with suppress(RootError, ValueError):
            return self.run("systemctl", "is-system-running").strip() == "running"
        return False

    def run(self, *command: str, seconds: float = RUN_SECONDS) -> str:
        """Run a short program in it; what that wrote. Raises RootError when it fails."""
        (first,) = self._shells()
        inside = ("nsenter", "--target", str(first), "--mount", "--pid", "--cgroup", "--root", "--wd", "--")
        return run_program([*inside, *command], patient(seconds))

    def journal(self, unit: str) -> str:
        """What a unit has logged."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def stop(self) -> None:
        """Shut it down, which stops its services as a shutdown does."""
        (first,) = self._shells()
        # SIGRTMIN+4: poweroff.target (systemd(1)).
        os.kill(first, signal.SIGRTMIN + 4)
        assert self._process is not None
        try:
            self._process.wait(patient(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            self.close()


@contextmanager
def machine(root: Root, directory: Path) -> Iterator[Machine]:
    """A booted root, gone afterwards."""
    running = Machine(root, directory)
    try:
        running.boot()
        yield running
    finally:
        running.close()
