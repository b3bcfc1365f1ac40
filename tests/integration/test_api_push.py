"""The AsyncAPI document against every message and event that goes over the wire."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.support.api_documents import AsyncApi, loaded
from tests.support.clients import Event, EventStream, JmapClient, event_stream, jmap_client
from tests.support.gateway import running_gateway
from tests.support.unreliable import UnreliableLog
from tests.support.waiting import patient
from tidings.gateway import driver
from tidings.gateway.codecs.websocket import CloseCode
from tidings.gateway.hub import outages

DOCUMENT = AsyncApi(loaded("asyncapi.yaml"))
SOON = 30.0


class Heard:
    """What a client was told, each checked; `names` are those of the messages."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    async def message(self, client: JmapClient, deadline: float = SOON) -> dict[str, Any]:
        """The next message of a WebSocket."""
        message = await client.receive(deadline)
        DOCUMENT.check_message("webSocket", "send", message["@type"], message)
        self.names.add(message["@type"])
        return message

    async def event(self, stream: EventStream, deadline: float = SOON) -> Event:
        """The next event of a stream."""
        event = await stream.event(deadline)
        assert event is not None
        fields: dict[str, object] = {"event": event.type}
        fields |= {} if event.id is None else {"id": event.id}
        fields |= {} if event.retry is None else {"retry": event.retry}
        DOCUMENT.check_message("eventStream", "send", event.type, event.data, fields)
        self.names.add(event.type)
        return event


def examples(channel: str, action: str) -> list[Any]:
    """The messages that the document shows."""
    messages = DOCUMENT.messages(channel, action).values()
    return [example["payload"] for message in messages for example in message.get("examples", [])]


BAD: list[str] = [
    "{",
    "[]",
    '{"@type":"Unheard"}',
    '{"@type":"WebSocketPushEnable","dataTypes":"Email"}',
    '{"@type":"WebSocketPushEnable","dataTypes":["a b"]}',
    '{"@type":"WebSocketPushEnable","pushStatus":1}',
    '{"@type":"Request","id":7,"using":[],"methodCalls":[]}',
    '{"@type":"Request","using":["urn:ietf:params:jmap:mail"],"methodCalls":[]}',
    json.dumps({"@type": "Request", "using": [], "methodCalls": [["Core/echo", {}, "c"]] * 17}),
]


@pytest.mark.parametrize("example", examples("webSocket", "receive"), ids=lambda example: example["@type"])
async def test_what_the_document_shows_is_understood(example: dict[str, Any]) -> None:
    DOCUMENT.check_message("webSocket", "receive", example["@type"], example)
    heard = Heard()
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        await client.send(**example)
        await client.send(**{"@type": "Request", "id": "last", "using": [], "methodCalls": []})
        told: list[dict[str, Any]] = []
        while not told or told[-1].get("requestId") != "last":
            told.append(await heard.message(client))
        expected = {"Request": {"Response"}, "WebSocketPushEnable": {"StateChange", "Response"}}
        assert heard.names <= expected.get(example["@type"], {"Response"})


@pytest.mark.parametrize("text", BAD)
async def test_what_the_document_does_not_allow_is_an_error_of_the_document(text: str) -> None:
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        await client.socket.send(text)
        assert (await Heard().message(client))["@type"] == "RequestError"
    try:
        message = json.loads(text)
    except ValueError:
        return
    schemas = [message["payload"] for message in DOCUMENT.messages("webSocket", "receive").values()]
    # What `using` may name is the session's to say.
    assert "jmap:mail" in text or all(DOCUMENT.faults(schema, message) for schema in schemas)


async def test_every_message_of_the_document_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "SILENT_SECONDS", 6.0)
    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr("tidings.gateway.codecs.eventsource.MIN_PING_SECONDS", 1)
    heard, log = Heard(), UnreliableLog(8)
    await log.open()
    async with (
        running_gateway(log=log, head_seconds=0.3) as gateway,
        jmap_client(gateway.url()) as client,
        event_stream(gateway.http_url("/jmap/eventsource", "account=alice&status=yes&ping=1")) as stream,
    ):
        await client.send(**{"@type": "WebSocketPushEnable", "pushStatus": True})
        assert (await heard.message(client))["changed"] == {}
        assert (await heard.event(stream)).type == "cursor"
        await gateway.publish("alice", {"Email": "s1", "Thread": None})
        assert (await heard.message(client))["changed"]["alice"]["Email"] == "s1"
        while (await heard.event(stream)).type != "state":
            pass
        while (await heard.event(stream)).type != "ping":
            pass
        await client.send(**{"@type": "Request", "using": [], "methodCalls": [["Email/get", {}, "c"]]})
        assert (await heard.message(client))["@type"] == "Response"
        await client.socket.send("{")
        assert (await heard.message(client))["@type"] == "RequestError"
        log.accepts = False
        while (await heard.message(client))["@type"] != "PushStatus":
            pass
        while (await heard.event(stream)).type != "status":
            pass
        log.accepts = True
        await gateway.service.stop()
        while (await heard.event(stream)).type != "retry":
            pass
    documented = {*DOCUMENT.messages("webSocket", "send"), *DOCUMENT.messages("eventStream", "send")}
    assert heard.names == documented


async def test_a_poll_is_answered_with_the_message_of_the_document() -> None:
    async with running_gateway() as gateway, httpx2.AsyncClient(timeout=patient(SOON)) as http:
        answer = await http.get(gateway.http_url("/jmap/changes"))
    DOCUMENT.check_message("poll", "send", "StateChange", answer.json())


async def test_a_resync_is_a_state_change_of_the_document() -> None:
    heard = Heard()
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        await client.send(**{"@type": "WebSocketPushEnable", "pushState": "no-cursor-of-ours"})
        assert set((await heard.message(client))["changed"]["alice"]) == {"Email", "Mailbox", "Thread"}


def test_the_close_codes_are_those_of_the_code() -> None:
    documented = {int(code) for code in DOCUMENT.content["channels"]["webSocket"]["x-close-codes"]}
    # 1005 is never sent: it stands for a close frame without a code (RFC 6455 section 7.4.1).
    assert documented == set(CloseCode) - {CloseCode.NO_STATUS}


def test_the_checks_see_what_is_wrong() -> None:
    wrong = [
        ("webSocket", "send", "Unheard", {}, None),
        ("webSocket", "send", "StateChange", {"@type": "StateChange", "changed": {}}, None),
        ("eventStream", "send", "state", {"@type": "StateChange", "changed": {}}, {"event": "state", "id": "A"}),
        ("eventStream", "send", "ping", {"interval": 30}, {"event": "ping", "id": "A"}),
    ]
    for each in wrong:
        with pytest.raises(AssertionError):
            DOCUMENT.check_message(*each)
