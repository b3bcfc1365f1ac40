"""API documents, and whether what is really said over the wire is what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7, DRAFT202012

from tests.support.clients import raw_client

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
METHODS = ("get", "put", "post", "delete", "patch")
NAME = "urn:document"


def loaded(name: str) -> dict[str, Any]:
    """A document of docs/reference, as JSON has it."""
    read = json.loads(json.dumps(yaml.safe_load((REFERENCE / name).read_text())))
    assert isinstance(read, dict)
    return read


class Document:
    """A document whose schemas may refer to any part of it."""

    validator: type[Validator] = Draft202012Validator
    specification: Any = DRAFT202012

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        resource = Resource.from_contents(content, default_specification=self.specification)
        self._registry: Registry[Any] = Registry().with_resource(NAME, resource)

    def resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a reference leads to, through others; or the value itself."""
        while "$ref" in value:
            found: Any = self.content
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            value = found
        return value

    def faults(self, schema: object, value: Any) -> list[str]:
        """What is wrong with a value."""
        told = self.validator(_absolute(schema), registry=self._registry).iter_errors(value)
        return [f"{error.json_path}: {error.message}" for error in told]

    def check(self, schema: object, value: object) -> None:
        assert self.faults(schema, value) == [], value


def _absolute(schema: Any) -> Any:
    """A schema whose references name the document that they are in."""
    if isinstance(schema, dict):
        return {
            key: f"{NAME}{value}" if key == "$ref" and value.startswith("#") else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(each) for each in schema] if isinstance(schema, list) else schema


@dataclass(frozen=True)
class Operation:
    """A method of a path, as a document has it."""

    path: str
    method: str
    content: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def statuses(self) -> list[int]:
        return sorted(int(status) for status in self.content["responses"] if status != "default")


class OpenApi(Document):
    """An OpenAPI 3.1 document."""

    def operations(self) -> Iterator[Operation]:
        for path, item in self.content["paths"].items():
            for method in METHODS:
                if method in item:
                    yield Operation(path, method, item[method])

    def operation(self, method: str, path: str) -> Operation:
        return Operation(path, method, self.content["paths"][path][method])

    def target(self, operation: Operation) -> str:
        """The path with the examples of its parameters in it."""
        found = operation.path
        for parameter in map(self.resolved, operation.content.get("parameters", [])):
            if parameter["in"] == "path":
                found = found.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"])))
        return found

    def check_request(self, operation: Operation, media_type: str, body: object) -> None:
        """That this is a body that the document allows."""
        self.check(operation.content["requestBody"]["content"][media_type]["schema"], body)

    def check_answer(self, operation: Operation, answer: httpx2.Response) -> None:
        """That an answer is one that the document has: status, fields, content type, and body where it is JSON."""
        responses = operation.content["responses"]
        said = responses.get(str(answer.status_code), responses.get("default"))
        assert said is not None, f"{operation} answers {answer.status_code}: {answer.text}"
        response = self.resolved(said)
        for name, field in response.get("headers", {}).items():
            self._check_field(answer, name, self.resolved(field))
        contents = response.get("content", {})
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if not contents:
            assert not answer.content
            return
        content = contents.get(media_type, contents.get("*/*"))
        assert content is not None, f"{operation} answers {answer.status_code} with {media_type or 'no content type'}"
        if media_type.endswith("json"):
            self.check(content["schema"], answer.json())

    def _check_field(self, answer: httpx2.Response, name: str, field: Mapping[str, Any]) -> None:
        value = answer.headers.get(name)
        assert value is not None or not field.get("required"), f"{name} is missing"
        if value is not None:
            is_number = self.resolved(field["schema"]).get("type") == "integer"
            self.check(field["schema"], int(value) if is_number else value)


class AsyncApi(Document):
    """An AsyncAPI 3 document. Its schemas are of draft 7, as the specification has it."""

    validator = Draft7Validator
    specification = DRAFT7

    def messages(self, channel: str, action: str) -> dict[str, Mapping[str, Any]]:
        """The messages that the application sends or receives on a channel, by name; those of replies are sent."""
        operations = self.content["operations"].values()
        told = [(operation["action"], operation) for operation in operations]
        told += [("send", operation["reply"]) for operation in operations if "reply" in operation]
        found = {}
        for does, part in told:
            if does == action and part["channel"]["$ref"] == f"#/channels/{channel}":
                for reference in part["messages"]:
                    message = self.resolved(reference)
                    found[message["name"]] = message
        return found

    def check_message(self, channel: str, action: str, name: str, payload: object, fields: object = None) -> None:
        """That a message of this name may be said there, and is as the document has it."""
        messages = self.messages(channel, action)
        assert name in messages, f"{action} of {name} on {channel} is not in the document"
        self.check(messages[name]["payload"], payload)
        if "headers" in messages[name]:
            self.check(messages[name]["headers"], fields)


def raw_answer(data: bytes) -> httpx2.Response:
    """An answer that came over a bare socket, up to the end of the connection."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    fields = [(name, value) for name, _, value in (field.partition(": ") for field in lines)]
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", line)
    assert match is not None, data
    return httpx2.Response(int(match[1]), headers=fields, content=body)


async def exchange(port: int, request: bytes, *, whole: bool = True) -> httpx2.Response:
    """The answer to a request, which may be no HTTP; `whole`: up to the end of the connection, else its head alone."""
    async with raw_client(port) as client:
        await client.send(request)
        return raw_answer(await client.rest() if whole else (await client.head()).encode("latin-1"))


def request(
    method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", version: str = "1.1"
) -> bytes:
    """A request whose answer ends the connection."""
    fields = {"Host": "127.0.0.1", "Connection": "close", **(headers or {})}
    if body:
        fields.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method.upper()} {target} HTTP/{version}\r\n{lines}\r\n".encode() + body
