"""Against trees of files as kernels write them, and against the kernel that is there."""

from __future__ import annotations

import os
from pathlib import Path

from asyncio_pprof.memory import procfs
from asyncio_pprof.memory.procfs import Cgroup


def files(root: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_this_process_is_resident() -> None:
    found = procfs.resident()
    assert found.total > found.files > 0
    exact = procfs.private()
    assert exact is None or 0 < exact <= found.total * 2


def test_version_2_takes_the_least_limit_of_it_and_those_above(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pods/mine\n",
            "sys/fs/cgroup/pods/mine/memory.current": "5000\n",
            "sys/fs/cgroup/pods/mine/memory.max": "max\n",
            "sys/fs/cgroup/pods/mine/memory.stat": "anon 4000\ninactive_file 700\n",
            "sys/fs/cgroup/pods/memory.max": "9000\n",
        },
    )
    assert procfs.cgroup(root) == Cgroup(5000, 700, 9000)


def test_version_2_inside_a_container_that_does_not_see_the_hosts_path(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../elsewhere\n",
            "sys/fs/cgroup/memory.current": "5000\n",
            "sys/fs/cgroup/memory.max": "max\n",
            "sys/fs/cgroup/memory.stat": "",
        },
    )
    assert procfs.cgroup(root) == Cgroup(5000, 0, None)


def test_version_1_says_its_limit_in_its_statistics(tmp_path: Path) -> None:
    stat = "cache 1\ntotal_inactive_file 700\nhierarchical_memory_limit {}\n"
    tree = {
        "proc/self/cgroup": "5:cpu:/\n4:memory:/mine\n0::/\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "5000\n",
        "sys/fs/cgroup/memory/memory.stat": stat.format(8000),
    }
    assert procfs.cgroup(files(tmp_path, tree)) == Cgroup(5000, 700, 8000)
    tree["sys/fs/cgroup/memory/memory.stat"] = stat.format(9223372036854771712)
    assert procfs.cgroup(files(tmp_path, tree)) == Cgroup(5000, 700, None)


def test_no_cgroup_that_can_be_seen(tmp_path: Path) -> None:
    assert procfs.cgroup(tmp_path) is None
    assert procfs.cgroup(files(tmp_path, {"proc/self/cgroup": "3:cpu:/\n4:memory:/x\n0::/x\n"})) is None


def test_buffers_of_sockets_are_counted_in_pages(tmp_path: Path) -> None:
    lines = "sockets: used 3\nTCP: inuse 2 orphan 0 tw 0 alloc 2 mem 7\nUDP: inuse 1 mem 5\n"
    assert procfs.tcp_buffers(files(tmp_path, {"proc/net/sockstat": lines})) == 7 * os.sysconf("SC_PAGE_SIZE")
    assert procfs.tcp_buffers(files(tmp_path, {"proc/net/sockstat": "TCP: inuse 2\n"})) is None
    assert procfs.tcp_buffers(tmp_path / "nowhere") is None
    assert procfs.private(tmp_path / "nowhere") is None
