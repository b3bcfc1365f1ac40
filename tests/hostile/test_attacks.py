"""What an attacker does to an honest client, and to the memory of a process: little."""

from __future__ import annotations

import pytest

from tests.hostile import wire
from tests.hostile.attacks import Attack
from tests.hostile.rig import Install, Installation, unharmed

MIB = 2**20
HELD_MIB = 48
"""What an attack may make a process grow by, beside what it had: the faults took 100 MiB to 1.9 GiB."""


def grown(installation: Installation, before: int) -> float:
    return (wire.resident(installation.gateway.pid) - before) / MIB


@pytest.mark.parametrize("name", ["blanks", "fragments", "heads", "half_messages", "dead_polls", "forms"])
def test_an_honest_client_hardly_notices(install: Install, name: str) -> None:
    installation = install(gateway=["--memory-limit-bytes", str(512 * MIB)])
    before = wire.resident(installation.gateway.pid)
    unharmed(installation, Attack(name, installation.port))
    assert grown(installation, before) < HELD_MIB


@pytest.mark.parametrize("listener", ["probe_port", "ingest_port"])
def test_requests_that_do_not_wait_for_answers_wait_themselves(install: Install, listener: str) -> None:
    installation = install()
    processes = [installation.gateway.pid, installation.publisher.pid]
    before = [wire.resident(pid) for pid in processes]
    unharmed(installation, Attack("pipeline", getattr(installation, listener)))
    for pid, had in zip(processes, before, strict=True):
        assert (wire.resident(pid) - had) / MIB < HELD_MIB
