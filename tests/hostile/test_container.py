"""In a container with 512 MiB nothing that an attacker does has the kernel end a process for its memory."""

from __future__ import annotations

import time

import pytest

from tests.hostile.attacks import Attack
from tests.hostile.rig import Install
from tests.support.cgroup import memory_cgroup

MIB = 2**20
LIMIT = 512 * MIB
SECONDS = 10.0


@pytest.mark.parametrize("name", ["heads", "half_messages", "dead_polls", "unread"])
def test_a_gateway_is_never_killed_for_memory(install: Install, name: str) -> None:
    with memory_cgroup(LIMIT) as cgroup:
        installation = install(in_container=cgroup.program)
        with Attack(name, installation.port):
            time.sleep(SECONDS)
        with installation.honest() as honest:
            honest.measure(0.5)
        installation.gateway.stop()
        assert not cgroup.kills
