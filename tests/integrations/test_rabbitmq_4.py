"""What the log promises and how it fails, on RabbitMQ 4: Debian 13's, and the newest, which has Khepri.

The tests are those that RabbitMQ 3 has elsewhere, and their node is another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.faults.test_growth import Use, joined
from tests.faults.test_rabbitmq import (
    pair,
    test_a_stream_deleted_and_declared_again,
    test_killed,
    test_memory_alarm,
    test_restarted,
)
from tests.integration.conftest import nothing_left
from tests.integration.test_log_contract import (
    log,
    test_a_closed_log_takes_and_gives_nothing,
    test_a_log_can_be_opened_again,
    test_a_log_never_opened_is_closed,
    test_a_reader_closed_before_its_first_entry,
    test_a_reader_waits_for_the_first_entry,
    test_another_log_sees_the_same_or_nothing,
    test_appends_that_follow_one_another_stay_in_order_under_load,
    test_closing_cuts_readers_off,
    test_concurrent_appends_are_all_there_in_ascending_order,
    test_from_a_time_after_the_last_entry_is_the_tail,
    test_from_a_time_before_the_first_entry_is_everything,
    test_from_a_time_between_leaves_out_what_is_older,
    test_from_an_offset_is_inclusive_and_exact,
    test_from_beyond_the_tail_delivers_nothing_and_stays,
    test_payloads_come_back_to_the_byte,
    test_readers_do_not_disturb_one_another,
    test_what_was_appended_is_read_from_its_shard_only,
)
from tests.integration.test_rabbitmq import (
    test_a_connection_that_ends_without_a_word_fails_what_waits_on_it,
    test_a_stream_declared_with_other_arguments_is_named_in_the_log,
    test_a_stream_deleted_behind_our_back_is_declared_again,
    test_a_virtual_host_that_is_not_there_is_said_so,
    test_a_wrong_password_is_one_line_without_the_password,
    test_an_entry_that_is_too_long_is_passed_over,
    test_an_exchange_deleted_behind_our_back_is_declared_again,
    test_an_unroutable_entry_is_not_confirmed_and_the_binding_mended,
    test_entries_are_acknowledged_on_a_quiet_stream_too,
    test_leaving_in_the_middle_of_deliveries_harms_no_other_reader,
    test_messages_of_others_come_as_they_are,
    test_readers_that_come_and_go_leave_nothing_on_the_connection,
    test_reading_a_stream_that_is_gone_has_it_declared_again,
    test_streams_are_streams_with_bounded_retention,
)
from tests.support.broker import Broker
from tests.support.changelog import opened, ready
from tests.support.cluster import Cluster
from tests.support.fixtures import reported
from tests.support.roots import root
from tidings.bus.log import ChangeLog
from tidings.bus.rabbitmq import RabbitMQLog

__all__ = [
    "log",
    "nothing_left",
    "pair",
    "test_a_closed_log_takes_and_gives_nothing",
    "test_a_connection_that_ends_without_a_word_fails_what_waits_on_it",
    "test_a_log_can_be_opened_again",
    "test_a_log_never_opened_is_closed",
    "test_a_reader_closed_before_its_first_entry",
    "test_a_reader_waits_for_the_first_entry",
    "test_a_stream_declared_with_other_arguments_is_named_in_the_log",
    "test_a_stream_deleted_and_declared_again",
    "test_a_stream_deleted_behind_our_back_is_declared_again",
    "test_a_virtual_host_that_is_not_there_is_said_so",
    "test_a_wrong_password_is_one_line_without_the_password",
    "test_an_entry_that_is_too_long_is_passed_over",
    "test_an_exchange_deleted_behind_our_back_is_declared_again",
    "test_an_unroutable_entry_is_not_confirmed_and_the_binding_mended",
    "test_another_log_sees_the_same_or_nothing",
    "test_appends_that_follow_one_another_stay_in_order_under_load",
    "test_closing_cuts_readers_off",
    "test_concurrent_appends_are_all_there_in_ascending_order",
    "test_entries_are_acknowledged_on_a_quiet_stream_too",
    "test_from_a_time_after_the_last_entry_is_the_tail",
    "test_from_a_time_before_the_first_entry_is_everything",
    "test_from_a_time_between_leaves_out_what_is_older",
    "test_from_an_offset_is_inclusive_and_exact",
    "test_from_beyond_the_tail_delivers_nothing_and_stays",
    "test_killed",
    "test_leaving_in_the_middle_of_deliveries_harms_no_other_reader",
    "test_memory_alarm",
    "test_messages_of_others_come_as_they_are",
    "test_payloads_come_back_to_the_byte",
    "test_readers_do_not_disturb_one_another",
    "test_readers_that_come_and_go_leave_nothing_on_the_connection",
    "test_reading_a_stream_that_is_gone_has_it_declared_again",
    "test_restarted",
    "test_streams_are_streams_with_bounded_retention",
    "test_what_was_appended_is_read_from_its_shard_only",
]

SHARDS = 4
VHOSTS = 64


@pytest.fixture(scope="module", params=["trixie", "sid"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with reported(), Broker(VHOSTS, root=root(request.param, "rabbitmq-server")) as node:
        yield node


@pytest.fixture(scope="module")
def node(broker: Broker) -> Broker:
    return broker


@pytest.fixture
def make_log(bus_url: str) -> Callable[[], ChangeLog]:
    return lambda: RabbitMQLog(bus_url, SHARDS)


async def test_a_node_that_is_lost_is_replaced_by_another() -> None:
    """RabbitMQ 3 refuses it a copy, as long as streams name the one that is lost."""
    use = Use()
    with Cluster(3, root=root("sid", "rabbitmq-server")) as cluster:
        first, lost, _ = cluster.nodes
        async with opened(log := RabbitMQLog(first.url, 1)):
            await ready(log)
            async with use.going_on(log):
                await asyncio.to_thread(lost.kill)
                await asyncio.to_thread(cluster.forget, lost)
                await joined(cluster, new := cluster.grow(1))
                await use.is_all_there(new[0].url)


async def test_it_is_the_version_that_this_file_is_about(broker: Broker) -> None:
    version = (await asyncio.to_thread(broker.ctl, "version")).strip()
    flags = dict(
        line.split("\t")[:2]
        for line in (await asyncio.to_thread(broker.ctl, "list_feature_flags", "name", "state")).splitlines()
    )
    assert int(version.partition(".")[0]) >= 4
    assert flags["khepri_db"] == ("disabled" if version.startswith("4.0.") else "enabled")
