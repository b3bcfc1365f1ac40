from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.hostile import wire
from tests.hostile.rig import Install, Installation
from tests.support.broker import Broker
from tests.support.processes import Tidings


@pytest.fixture(scope="package")
def broker() -> Iterator[Broker]:
    """One node for all attacks. Those that hurt it leave it as it was."""
    with Broker(vhosts=32) as node:
        yield node


@pytest.fixture
def install(broker: Broker, tmp_path: Path) -> Iterator[Install]:
    """Starts both; `gateway` and `publisher` are further flags, `in_container` is what starts the gateway inside."""
    started: list[Tidings] = []

    def install(
        *, gateway: Sequence[str] = (), publisher: Sequence[str] = (), in_container: Sequence[str] = ()
    ) -> Installation:
        bus = {"TIDINGS_BUS": broker.fresh_url()}
        started.append(
            Tidings(
                "publisher",
                *("--state-dir", str(tmp_path / "state"), *publisher),
                env={**bus, "TIDINGS_INGEST_TOKENS": wire.INGEST_TOKEN},
            )
        )
        env = {**bus, "TIDINGS_AUTH": "jwt", "TIDINGS_JWT_SECRET": wire.SECRET}
        program = (*in_container, sys.executable, "-m", "tidings") if in_container else ()
        started.append(Tidings("gateway", *gateway, env=env, program=program))
        for one in started:
            one.wait_started()
            one.wait_connected()
        return Installation(broker, *started)

    try:
        yield install
    finally:
        for one in started:
            if one.process.returncode is None:
                one.stop()
