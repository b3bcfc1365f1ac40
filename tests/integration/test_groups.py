"""Groups of gateways as an operator runs them: processes, a real broker, clients that sessions lead to their group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.clients import jmap_client
from tests.support.events import event
from tests.support.grouped import SHARDS, Grouped, Led, behind, grouped, ports, scraped, send_away, shards_read
from tests.support.rabbitmq import Node
from tests.support.roaming import RESTART, SETTLE_SECONDS, TOKEN, Storage, account, stopped_at_last
from tests.support.waiting import comes_true, patient
from tidings.wire.shard import shard_of

GROUPS = 4
EACH = 2
CLIENTS = 480
"""So many that every gateway has some of every shard of its group."""
CHANGES = 400
MOVED = 200
"""Clients of those that are regrouped."""


@pytest.fixture(scope="module")
def installation(broker: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grouped]:
    """Eight gateways in four groups."""
    with grouped(broker.fresh_url(), tmp_path_factory.mktemp("state")) as running:
        running.start(GROUPS, EACH)
        yield running


def all_connected(crowd: Led) -> None:
    count = len(crowd.clients)
    assert comes_true(lambda: crowd.connected == count, SETTLE_SECONDS), (crowd.connected, crowd.ends)


def tell(crowd: Led, storage: Storage, changes: int) -> None:
    """Change mailboxes until so many changes are acknowledged and every client knows the last of its own."""
    with stopped_at_last(storage):
        assert comes_true(lambda: storage.count >= changes, SETTLE_SECONDS)
    assert comes_true(lambda: not crowd.unaware_of(storage.acknowledged), SETTLE_SECONDS)


def test_each_group_reads_its_part_of_the_log_and_everybody_is_told(installation: Grouped) -> None:
    crowd = Led(CLIENTS, ports(installation.gateways), behind(installation.groups))
    with stopped_at_last(crowd):
        all_connected(crowd)
        tell(crowd, Storage(installation.publisher, CLIENTS, per_second=200), CHANGES)
        for number, group in enumerate(installation.groups):
            for gateway in group:
                assert shards_read(gateway) == set(range(number, SHARDS, GROUPS))
        consumed = [scraped(gateway).value("tidings_changes_consumed_total") for gateway in installation.gateways]
    # Each change is read by the gateways of one group, and by no others.
    told = sum(consumed) / EACH
    assert told > CHANGES / 2
    assert all(each <= 0.4 * told for each in consumed), consumed
    assert (crowd.resyncs, crowd.unaware_of({})) == (0, 0)


async def publish(installation: Grouped, name: str, state: str) -> None:
    headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(timeout=patient(SETTLE_SECONDS)) as http:
        url = installation.publisher.url("ingest", "/v1/changes")
        answer = await http.post(url, json=event(name, state), headers=headers)
    assert answer.status_code == 202, answer.text


async def test_a_cursor_of_one_group_resumes_in_every_other(installation: Grouped) -> None:
    name = account(CLIENTS + 1)
    home = shard_of(name, SHARDS) % GROUPS

    def url(group: int, path: str) -> str:
        return f"ws://127.0.0.1:{ports(installation.groups[group])[0]}{path}/jmap/ws?account={name}"

    async with jmap_client(url(home, f"/g/{home}")) as client:
        assert await client.subscribe() == {}
        cursor = client.cursor
    for step in range(1, GROUPS):
        other = (home + step) % GROUPS
        await publish(installation, name, f"missed-{step}")
        # A proxy that does not know the group has sent the client anywhere.
        async with jmap_client(url(other, f"/g/{home}")) as client:
            assert await client.subscribe(since=cursor) == {name: {"Email": f"missed-{step}"}}
            cursor = client.cursor
            await publish(installation, name, f"heard-{step}")
            assert await client.changed() == {name: {"Email": f"heard-{step}"}}
            cursor = client.cursor


def test_another_number_of_groups_loses_nothing(bus_url: str, tmp_path: Path) -> None:
    with grouped(bus_url, tmp_path) as running:
        old = running.start(4, 1)
        crowd = Led(MOVED, ports(running.gateways), behind(old))
        with stopped_at_last(crowd):
            all_connected(crowd)
            storage = Storage(running.publisher, MOVED, per_second=200)
            with stopped_at_last(storage):
                new = running.start(2, 1)
                # As a rollout does it: sessions of both numbers are given, and a group that goes is anybody's.
                for group in old:
                    rest = [gateway for gateway in running.gateways if gateway not in group]
                    running.groups = [each for each in running.groups if each is not group]
                    crowd.ports, crowd.behind = ports(rest), behind(new)
                    send_away(group[0])
                all_connected(crowd)
            assert comes_true(lambda: not crowd.unaware_of(storage.acknowledged), SETTLE_SECONDS)
        assert storage.count > 0
        assert (crowd.resyncs, crowd.unaware_of(storage.acknowledged)) == (0, 0)
        assert len(crowd.reconnects) >= MOVED
        assert set(crowd.ends) == {RESTART}
