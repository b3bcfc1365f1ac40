"""The machine that a cluster runs on: whatever ends its test, nothing of it stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cluster.node import CGROUPS, Node
from tests.support.cached import kept
from tests.support.chart import ROOT
from tests.support.waiting import comes_true

HELD = """
import sys
from tests.cluster.node import Node
with Node([]) as node:
    node.spawn("server", "sh", "-c", "echo up; exec sleep 1000")
    print(node.name, flush=True)
    sys.stdin.read()
"""
SECONDS = 10.0


def processes(name: str) -> list[str]:
    """Those in the cgroups of a machine."""
    return [pid for file in CGROUPS.glob(f"**/{name}/**/cgroup.procs") for pid in file.read_text().split()]


def test_a_node_whose_test_is_killed_is_gone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        directory = kept("kube") / name
        assert comes_true(lambda: (directory / "log/server").read_text() == "up\n", SECONDS)
        assert processes(name)
        process.kill()
    assert comes_true(lambda: not processes(name), SECONDS)
    assert name not in Path("/proc/self/mounts").read_text()
    # What the kernel does not remove, the next one does.
    with Node([]) as node:
        assert node.directory.exists()
        assert not directory.exists()
        assert not list(CGROUPS.glob(f"**/{name}"))
        assert processes(node.name)
    assert not node.directory.exists()
    assert not list(CGROUPS.glob(f"**/{node.name}"))
