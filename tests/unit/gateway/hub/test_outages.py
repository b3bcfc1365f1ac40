from __future__ import annotations

from dataclasses import dataclass

from tidings.gateway.hub.outages import SILENT_SECONDS, Outages
from tidings.gateway.model.connection import CLOSED, Connection

LONG = SILENT_SECONDS + 1


@dataclass
class Feed:
    heard_at: float = 0.0


def connection(*accounts: str) -> Connection:
    made = Connection(-1, CLOSED)
    made.set_accounts(accounts)
    return made


def shards_of(connection: Connection) -> set[int]:
    return {int(account) for account in connection.account_names()}


def test_a_shard_that_nothing_is_heard_of_is_silent_until_something_is() -> None:
    feeds = {1: Feed(100.0), 2: Feed(100.0)}
    outages = Outages(feeds, shards_of)
    assert outages.look(100.0 + SILENT_SECONDS) == frozenset()
    assert outages.silent == frozenset()
    feeds[2].heard_at = 100.0 + LONG
    assert outages.look(100.0 + LONG) == frozenset()
    assert outages.silent == {1}
    feeds[1].heard_at = 100.0 + LONG
    assert outages.look(101.0 + LONG) == {1}
    assert outages.silent == frozenset()


def test_a_feed_that_has_heard_nothing_yet_has_its_time_too() -> None:
    feeds = {1: Feed()}
    outages = Outages(feeds, shards_of)
    outages.look(1_000.0)
    outages.look(1_000.0 + SILENT_SECONDS)
    assert outages.silent == frozenset()
    outages.look(1_000.0 + LONG)
    assert outages.silent == {1}
    # One that ended and comes again begins anew.
    del feeds[1]
    outages.look(2_000.0)
    assert outages.silent == frozenset()
    feeds[1] = Feed()
    outages.look(2_001.0)
    assert outages.silent == frozenset()


def test_who_is_concerned_has_an_account_in_a_silent_shard() -> None:
    feeds = {1: Feed(100.0), 2: Feed(100.0 + LONG)}
    outages = Outages(feeds, shards_of)
    before = outages.look(100.0 + LONG)
    assert outages.concern(connection("1"))
    assert outages.concern(connection("2", "1"))
    assert not outages.concern(connection("2"))
    assert not outages.concern(connection("1"), before)
