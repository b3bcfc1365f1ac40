from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from tests.support.ports import free_ports
from tests.support.waiting import patient
from tidings.bus.rabbitmq.addresses import Address, Addresses
from tidings.bus.rabbitmq.wire import Wire, resolve

BROKER = URL("amqp://mq:5672/")
OTHER = URL("amqp://other:5673/")


class Name:
    """What a host name stands for."""

    def __init__(self, *ports: int) -> None:
        self.addresses = [Address("127.0.0.1", port) for port in ports]

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        assert (host, port) == ("mq", 5672)
        return self.addresses


async def connected(addresses: Addresses, name: Name) -> Address | None:
    """Where one attempt ends up."""
    wire = Wire(addresses, [BROKER], name)
    try:
        _, writer = await wire.create(BROKER)
    except AMQPConnectionError:
        return None
    writer.close()
    await writer.wait_closed()
    wire.leave()
    return wire.address


async def test_an_address_that_refuses_is_passed_over_and_remembered() -> None:
    (nobody,) = free_ports(1)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        there = server.sockets[0].getsockname()[1]
        addresses, name = Addresses(), Name(nobody, there)
        for _ in range(5):
            assert await connected(addresses, name) == Address("127.0.0.1", there)


async def test_whoever_was_left_last_is_tried_last() -> None:
    async with (
        await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as one,
        await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as two,
    ):
        name = Name(*(server.sockets[0].getsockname()[1] for server in (one, two)))
        addresses = Addresses()
        visited = [await connected(addresses, name) for _ in range(6)]
    assert visited[0::2] == [visited[0]] * 3
    assert visited[1::2] == [visited[1]] * 3
    assert {*visited} == {*name.addresses}


async def test_one_that_does_not_answer_leaves_time_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # The one that answers may take as long as a busy machine does.
    monkeypatch.setattr("tidings.bus.rabbitmq.wire.CONNECT_SECONDS", patient(1.5))
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        name = Name(server.sockets[0].getsockname()[1])
        # Of TEST-NET-1 (RFC 5737): refused at once, or answered by nobody.
        name.addresses.append(Address("192.0.2.1", 5672))
        addresses = Addresses()
        for _ in range(4):
            assert await connected(addresses, name) == name.addresses[0]


async def test_where_nobody_answers_every_address_says_why() -> None:
    ports = free_ports(2)
    with pytest.raises(AMQPConnectionError) as failed:
        await Wire(Addresses(), [BROKER], Name(*ports)).create(BROKER)
    assert all(str(port) in str(failed.value.args) for port in ports)


async def test_names_are_resolved_as_this_machine_does() -> None:
    assert Address("127.0.0.1", 5672) in await resolve("localhost", 5672)
    nowhere = URL("amqp://nowhere.invalid:5672/")
    with pytest.raises(AMQPConnectionError):
        await Wire(Addresses(), [nowhere], resolve).create(nowhere)


class Names:
    """What several host names stand for; one of `absent` for nothing, and one of `silent` is not answered for."""

    def __init__(self, port: int, *, absent: Sequence[str] = (), silent: Sequence[str] = ()) -> None:
        self._port = port
        self._absent = absent
        self._silent = silent

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        if host in self._absent:
            raise OSError(-2, f"{host} is not known")
        if host in self._silent:
            await asyncio.Event().wait()
        return [Address("127.0.0.1", self._port)]


async def test_a_name_that_stands_for_nothing_is_no_matter_where_another_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.bus.rabbitmq.wire.CONNECT_SECONDS", 0.2)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        there = server.sockets[0].getsockname()[1]
        for names in (Names(there, absent=["mq"]), Names(there, silent=["mq"])):
            wire = Wire(Addresses(), [BROKER, OTHER], names)
            _, writer = await wire.create(BROKER)
            writer.close()
            await writer.wait_closed()
            assert wire.address == Address("127.0.0.1", there)


async def test_where_no_name_stands_for_anything_each_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.bus.rabbitmq.wire.CONNECT_SECONDS", 0.2)
    with pytest.raises(AMQPConnectionError) as failed:
        await Wire(Addresses(), [BROKER, OTHER], Names(0, absent=["mq"], silent=["other"])).create(BROKER)
    assert failed.value.args == ("-2 mq is not known; no answer from other",)


async def test_an_error_of_ours_is_not_taken_for_an_absent_name() -> None:
    async def broken(host: str, port: int) -> Sequence[Address]:
        raise KeyError(host)

    with pytest.raises(KeyError):
        await Wire(Addresses(), [BROKER], broken).create(BROKER)
