"""What is RabbitMQ's own: the topology, and what others do to it behind our back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aio_pika import Message
from pamqp.common import FieldTable
from structlog.testing import capture_logs
from structlog.typing import EventDict
from yarl import URL

from tests.support.changelog import append_all, append_at_last, opened, reading, ready, somebody_else
from tests.support.ports import free_ports
from tests.support.proxy import Proxy, proxied
from tests.support.rabbitmq import Node
from tests.support.tls import make_certificate, terminated
from tests.support.waiting import eventually, within
from tidings.bus.log import FromOffset, FromTime
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.bus.rabbitmq.acks import ACK_EVERY
from tidings.bus.rabbitmq.deliveries import MAX_ENTRY_BYTES
from tidings.bus.rabbitmq.topology import Topology
from tidings.bus.retention import Retention
from tidings.errors import LogUnavailable, SettingsError

SHARDS = 4
NAMES = Topology(SHARDS)

pytestmark = pytest.mark.usefixtures("nothing_left")


def through(proxy: Proxy, url: str) -> str:
    return str(URL(url).with_port(proxy.port))


def unavailable(lines: list[EventDict]) -> list[EventDict]:
    return [line for line in lines if line["event"] == "bus unavailable"]


async def test_any_number_of_processes_declare_the_same_topology_at_once(bus_url: str, broker: Node) -> None:
    with capture_logs() as lines:
        async with (
            opened(RabbitMQLog(bus_url, SHARDS)) as one,
            opened(RabbitMQLog(bus_url, SHARDS)) as two,
            opened(RabbitMQLog(bus_url, SHARDS)) as three,
        ):
            await asyncio.gather(ready(one), ready(two), ready(three))
            await one.append(0, b"x")
            async with reading(three, 0, FromOffset(0)) as reader:
                await reader.until(1)
    assert [line["event"] for line in lines] == ["bus connected"] * 3
    assert {line["broker"] for line in lines} == {f"127.0.0.1:{broker.port}{URL(bus_url).path}"}
    assert {line["address"] for line in lines} == {f"127.0.0.1:{broker.port}"}


async def test_two_shard_counts_do_not_mix(bus_url: str) -> None:
    async with opened(RabbitMQLog(bus_url, 2)) as two, opened(RabbitMQLog(bus_url, 3)) as three:
        await asyncio.gather(ready(two), ready(three))
        await two.append(0, b"two")
        await three.append(0, b"three")
        async with reading(three, 0, FromOffset(0)) as reader:
            await reader.until(1)
            assert reader.payloads == [b"three"]


async def test_streams_are_streams_with_bounded_retention(bus_url: str, broker: Node) -> None:
    async with opened(RabbitMQLog(bus_url, 1)) as log:
        await ready(log)
    vhost = URL(bus_url).path[1:]
    listed = await asyncio.to_thread(
        broker.ctl, "list_queues", "--vhost", vhost, "name", "type", "durable", "arguments"
    )
    assert "tidings.v1.1.0\tstream\ttrue" in listed
    for argument in ('"x-max-age","1h"', '"x-max-length-bytes",67108864', '"x-stream-max-segment-size-bytes",16777216'):
        assert argument in listed


async def test_streams_that_are_there_keep_their_retention(bus_url: str, broker: Node) -> None:
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log, somebody_else(bus_url) as channel:
        await ready(log)
        await log.append(1, b"before")
        await channel.queue_delete(NAMES.stream(2))
    longer = Retention(seconds=86_400, bytes=128 * 1024 * 1024)
    with capture_logs() as lines:
        async with opened(RabbitMQLog(bus_url, SHARDS, retention=longer)) as log:
            await ready(log)
            await log.append(1, b"after")
            await log.append(2, b"anew")
            async with reading(log, 1, FromOffset(0)) as reader:
                await reader.until(2)
                assert reader.payloads == [b"before", b"after"]
    vhost = URL(bus_url).path[1:]
    listed = await asyncio.to_thread(broker.ctl, "list_queues", "--vhost", vhost, "name", "arguments")
    kept = {line.split("\t")[0]: '"24h"' in line and "134217728" in line for line in listed.splitlines()}
    assert [kept[NAMES.stream(shard)] for shard in range(SHARDS)] == [False, False, True, False]
    assert [line["event"] for line in lines] == ["streams keep their earlier retention", "bus connected"]
    assert "but current is '67108864'" in lines[0]["reason"]


async def test_a_stream_declared_with_other_arguments_is_named_in_the_log(bus_url: str) -> None:
    async with somebody_else(bus_url) as channel:
        await channel.declare_queue(NAMES.stream(2), durable=True, arguments={"x-queue-type": "stream"})
    with capture_logs() as lines:
        async with opened(RabbitMQLog(bus_url, SHARDS)) as log:
            await eventually(lambda: unavailable(lines))
            assert not log.can_append
            with pytest.raises(LogUnavailable, match="not connected"):
                await log.append(0, b"x")
    (line,) = unavailable(lines)
    assert "other arguments" in line["reason"]
    assert NAMES.stream(2) in line["reason"]
    assert line["next_attempt_seconds"] == 30


async def test_a_stream_deleted_behind_our_back_is_declared_again(bus_url: str) -> None:
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log, somebody_else(bus_url) as channel:
        await ready(log)
        await log.append(0, b"before")
        await log.append(1, b"untouched")
        async with (
            reading(log, 0, FromOffset(0)) as reader,
            reading(log, 0, FromTime(time.time() + 60)) as quiet,
            reading(log, 1, FromOffset(0)) as other,
        ):
            await reader.until(1)
            await other.until(1)
            await channel.queue_delete(NAMES.stream(0))
            for cut_off in (reader, quiet):
                assert "cancelled" in str(await cut_off.until_cut_off())
            await append_at_last(log, 0, b"after")
            await log.append(1, b"still")
            await other.until(2)
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(1)
            assert reader.distinct == [b"after"]


async def test_reading_a_stream_that_is_gone_has_it_declared_again(bus_url: str) -> None:
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log, somebody_else(bus_url) as channel:
        await ready(log)
        await channel.queue_delete(NAMES.stream(1))
        async with reading(log, 1, FromOffset(0)) as reader:
            assert "NOT_FOUND" in str(await reader.until_cut_off())
        await append_at_last(log, 1, b"x")
        async with reading(log, 1, FromOffset(0)) as reader:
            await reader.until(1)


async def test_an_unroutable_entry_is_not_confirmed_and_the_binding_mended(bus_url: str) -> None:
    """RabbitMQ acks what it cannot route."""
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log, somebody_else(bus_url) as channel:
        await ready(log)
        stream = await channel.get_queue(NAMES.stream(3))
        await stream.unbind(NAMES.exchange, NAMES.routing_key(3))
        with pytest.raises(LogUnavailable, match="returned"):
            await log.append(3, b"lost")
        await log.append(0, b"another shard is not affected")
        await append_at_last(log, 3, b"kept")
        async with reading(log, 3, FromOffset(0)) as reader:
            await reader.until(1)
            assert reader.distinct == [b"kept"]


async def test_an_exchange_deleted_behind_our_back_is_declared_again(bus_url: str) -> None:
    """The broker closes the channel that publishes to no exchange."""
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log, somebody_else(bus_url) as channel:
        await ready(log)
        await channel.exchange_delete(NAMES.exchange)
        with pytest.raises(LogUnavailable, match="NOT_FOUND"):
            await log.append(0, b"lost")
        await append_at_last(log, 0, b"kept")
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(1)


async def test_readers_that_come_and_go_leave_nothing_on_the_connection(bus_url: str, broker: Node) -> None:
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log:
        await ready(log)
        before = asyncio.all_tasks()
        await log.append(0, b"x")
        for _ in range(20):
            async with reading(log, 0, FromOffset(0)) as reader:
                await reader.until(1)
        await eventually(lambda: asyncio.all_tasks() <= before)
        vhost = URL(bus_url).path[1:]
        assert "tidings" not in await asyncio.to_thread(broker.ctl, "list_consumers", "--vhost", vhost)


async def test_messages_of_others_come_as_they_are(bus_url: str) -> None:
    """What they are is for others to say: see read_entry."""
    headers: FieldTable = {"a": 1, "w": {"nested": ["x", None, True]}, "x-stream-filter-value": "y", "z": "x" * 5_000}
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log, somebody_else(bus_url) as channel:
        await ready(log)
        await log.append(0, b"ours")
        message = Message(b"theirs", headers=headers, content_type="text/plain", correlation_id="x-stream-offset")
        await channel.default_exchange.publish(message, NAMES.stream(0))
        await channel.default_exchange.publish(Message(b""), NAMES.stream(0))
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(3)
            assert reader.entries == [(0, b"ours"), (1, b"theirs"), (2, b"")]


async def test_an_entry_that_is_too_long_is_passed_over(bus_url: str) -> None:
    """It comes without its bytes, and nobody waits for it for ever."""
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log:
        await ready(log)
        for payload in (b"before", bytes(MAX_ENTRY_BYTES + 1), b"after"):
            await log.append(0, payload)
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(3)
            assert reader.payloads == [b"before", b"", b"after"]


async def test_leaving_in_the_middle_of_deliveries_harms_no_other_reader(bus_url: str) -> None:
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log:
        await ready(log)
        await append_all(log, 0, [bytes(1000)] * 1000)
        with capture_logs() as lines:
            async with reading(log, 0, FromOffset(0)) as staying:
                for _ in range(5):
                    async with reading(log, 0, FromOffset(0)) as leaving:
                        await leaving.until(1)
                await staying.until(1000)
                await log.append(0, b"last")
                await staying.until(1001)
        assert lines == []


async def test_closing_at_any_moment_of_connecting_and_declaring_leaves_nothing(bus_url: str) -> None:
    """`opened` sees to the time and `nothing_left` to the rest."""
    for milliseconds in range(0, 60, 2):
        async with opened(RabbitMQLog(bus_url, SHARDS)):
            await asyncio.sleep(milliseconds / 1000)


async def test_entries_are_acknowledged_on_a_quiet_stream_too(bus_url: str, broker: Node) -> None:
    """RabbitMQ closes the channel of a consumer that leaves a delivery open for 30 minutes."""
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log:
        await ready(log)
        for number in range(ACK_EVERY + 3):
            await log.append(0, b"%d" % number)
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(ACK_EVERY + 3)
            vhost = URL(bus_url).path[1:]
            open_deliveries = {"unknown"}
            async with within(10):
                while open_deliveries != {"0"}:
                    listed = await asyncio.to_thread(broker.ctl, "list_channels", "vhost", "messages_unacknowledged")
                    channels = [line.split("\t") for line in listed.splitlines()]
                    open_deliveries = {count for of, count, *_ in filter(None, channels) if of == vhost}


async def test_a_connection_that_ends_without_a_word_fails_what_waits_on_it(bus_url: str, broker: Node) -> None:
    async with proxied(broker.port) as proxy, opened(RabbitMQLog(through(proxy, bus_url), SHARDS)) as log:
        await ready(log)
        await log.append(0, b"before")
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(1)
            proxy.go_deaf()
            with capture_logs() as lines:
                waiting = [asyncio.create_task(log.append(shard, b"x")) for shard in range(SHARDS)]
                await eventually(lambda: proxy.swallowed > 0)
                proxy.hang_up()
                failed = await asyncio.gather(*waiting, return_exceptions=True)
                await reader.until_cut_off()
                await eventually(lambda: unavailable(lines))
        assert [type(error) for error in failed] == [LogUnavailable] * SHARDS
        assert all("closed" in text for text in [*map(str, failed), unavailable(lines)[0]["reason"]])
        await append_at_last(log, 0, b"after")


async def test_a_wrong_password_is_one_line_without_the_password(
    bus_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    url = str(URL(bus_url).with_password("not-the-pass-word"))
    with capture_logs() as lines:
        async with opened(log := RabbitMQLog(url, SHARDS)):
            await eventually(lambda: min(log.failures.values()) >= 2)
            assert not log.can_append
            assert not log.can_read
            with pytest.raises(LogUnavailable) as failed:
                await log.append(0, b"x")
    (line,) = lines
    assert line["event"] == "bus unavailable"
    assert "ACCESS_REFUSED" in line["reason"]
    assert line["broker"] == f"127.0.0.1:{URL(url).port}{URL(url).path}"
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert "not-the-pass-word" not in f"{lines} {failed.value!r} {failed.value.__cause__!r}"


async def test_a_virtual_host_that_is_not_there_is_said_so(bus_url: str) -> None:
    with capture_logs() as lines:
        async with opened(RabbitMQLog(str(URL(bus_url).with_path("/nowhere")), SHARDS)):
            await eventually(lambda: unavailable(lines))
    assert all("does not open the virtual host" in line["reason"] for line in lines)


async def test_nobody_listening_is_one_line_however_often_it_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    with capture_logs() as lines:
        async with opened(log := RabbitMQLog(f"amqp://guest:pass-word@127.0.0.1:{port}/", SHARDS)):
            await eventually(lambda: min(log.failures.values()) >= 3)
    (line,) = lines
    assert "Connect call failed" in line["reason"]
    assert caplog.records == []
    assert "pass-word" not in str(lines)


async def test_tls_is_checked_for_the_name_in_the_url(bus_url: str, broker: Node, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with terminated(broker.port, certificate) as port:
        url = URL(bus_url).with_scheme("amqps").with_port(port).with_query(cafile=str(certificate))
        async with opened(RabbitMQLog(str(url), SHARDS)) as log:
            await ready(log)
            await log.append(0, bytes(300_000))
            async with reading(log, 0, FromOffset(0)) as reader:
                await reader.until(1)
                assert reader.payloads == [bytes(300_000)]
        with capture_logs() as lines:
            # The same address by another name, which the certificate does not have.
            async with opened(RabbitMQLog(str(url.with_host("localhost")), SHARDS)):
                await eventually(lambda: unavailable(lines))
    assert "certificate" in lines[0]["reason"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x00\x09\x01", b"\x01" * 64])
async def test_a_peer_that_does_not_speak_amqp_is_one_line(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with capture_logs() as lines:
            async with opened(log := RabbitMQLog(f"amqp://guest:guest@127.0.0.1:{port}/", SHARDS)):
                await eventually(lambda: min(log.failures.values()) >= 2)
    (line,) = lines
    assert line["reason"]
    assert caplog.records == []


@pytest.mark.parametrize(
    "url",
    ["", "amqp://", "http://user:pass-word@host/", "user:pass-word@host:5672", "amqp://user:pass-word@host:port/"],
)
def test_a_url_that_cannot_be_one_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        RabbitMQLog(url, SHARDS)
    assert "TIDINGS_BUS" in str(refused.value)
    assert "pass-word" not in str(refused.value)
