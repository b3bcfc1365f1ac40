from __future__ import annotations

from dataclasses import dataclass

from tidings.gateway.hub.outages import SILENT_SECONDS, Outages
from tidings.gateway.model.connection import CLOSED, Connection

LONG = SILENT_SECONDS + 1


@dataclass
class Feed:
    silence: float = 0.0


def connection(*accounts: str) -> Connection:
    made = Connection(-1, CLOSED)
    made.set_accounts(accounts)
    return made


def shards_of(connection: Connection) -> set[int]:
    return {int(account) for account in connection.account_names()}


def test_a_shard_that_nothing_is_heard_of_is_silent_until_something_is() -> None:
    feeds = {1: Feed(SILENT_SECONDS), 2: Feed(SILENT_SECONDS)}
    outages = Outages(feeds, shards_of)
    assert outages.look() == frozenset()
    assert outages.silent == frozenset()
    feeds[1].silence, feeds[2].silence = LONG, 0.0
    assert outages.look() == frozenset()
    assert outages.silent == {1}
    feeds[1].silence = 0.0
    assert outages.look() == {1}
    assert outages.silent == frozenset()


def test_a_feed_that_is_gone_is_not_silent() -> None:
    feeds = {1: Feed(LONG)}
    outages = Outages(feeds, shards_of)
    outages.look()
    del feeds[1]
    assert outages.look() == {1}
    assert outages.silent == frozenset()


def test_who_is_concerned_has_an_account_in_a_silent_shard() -> None:
    outages = Outages({1: Feed(LONG), 2: Feed()}, shards_of)
    before = outages.look()
    assert outages.concern(connection("1"))
    assert outages.concern(connection("2", "1"))
    assert not outages.concern(connection("2"))
    assert not outages.concern(connection("1"), before)
