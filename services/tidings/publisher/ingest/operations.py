"""What each path of the ingest port takes and answers, in the terms of OpenAPI 3.1. Pure.

The schemas come from the models that requests are read with. The names of statuses are HTTP's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tidings.ops.http.problem_documents import PROBLEM_TYPE
from tidings.publisher.ingest.examples import BINARY_HEADERS, EVENT, EXAMPLES
from tidings.publisher.ingest.schemas import reference
from tidings.wire import cloudevents, dovecot, jsonbody, resyncs

PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "description": "`reply`: the answer 202 has no body. Knative sends this.",
    "schema": {"type": "string"},
}
SIGNATURE: Final = {
    "name": "X-Signature",
    "in": "header",
    "description": "HMAC-SHA256 of the body with the secret, in Base64. Required if the publisher has the secret.",
    "schema": {"type": "string"},
}
WITH_TOKEN: Final[Sequence[Mapping[str, Sequence[str]]]] = ({"bearer": ()}, {"basic": ()}, {})
"""The empty one: a publisher without tokens, which listens on loopback only."""

_REFUSALS: Final = {
    400: "The request is not HTTP/1.1, a header occurs twice, or the body is not JSON.",
    401: "The request has no token or signature, or one that the publisher does not know.",
    403: "The publisher has no tokens, and a web page may have sent the request.",
    408: "The body did not arrive within 10 s.",
    413: "The request has too many bytes or too many events. Send less at once.",
    415: "The content type, the charset or the content coding is not accepted.",
    422: "An event is not valid. The publisher took no event of the request. `problems` says what is wrong.",
    431: "The head has more than 16 KiB or more than 100 fields.",
    500: "An error in the publisher. Its log has the reason.",
    503: "The log and the spool take no changes now, or too many requests wait. Send the same request again.",
    505: "The publisher speaks only HTTP/1.x.",
}


class Body(NamedTuple):
    """A content type of a request, the schema of its body, and examples by name."""

    media_type: str
    schema: Mapping[str, object]
    examples: Mapping[str, object]


class Operation(NamedTuple):
    """What one path takes. `absent` are statuses that every path but this one answers."""

    id: str
    summary: str
    description: str
    bodies: Sequence[Body]
    parameters: Sequence[Mapping[str, object]] = (PREFER,)
    absent: Sequence[int] = ()
    body_required: bool = True


def described(operation: Operation) -> dict[str, Any]:
    """The members of an OpenAPI operation that FastAPI does not make by itself."""
    content = {
        body.media_type: {
            "schema": body.schema,
            "examples": {name: {"value": value} for name, value in body.examples.items()},
        }
        for body in operation.bodies
    }
    return {
        "parameters": list(operation.parameters),
        "requestBody": {"required": operation.body_required, "content": content},
        "security": [{name: list(scopes) for name, scopes in each.items()} for each in WITH_TOKEN],
    }


def responses(operation: Operation) -> dict[int | str, dict[str, Any]]:
    """The answers of a path, by status."""
    taken = {
        "description": "Every change is safe: in the log, or in the spool on the publisher's disk.",
        "content": {jsonbody.JSON: {"schema": reference("Accepted"), "example": {"accepted": 1}}},
    }
    refused: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {PROBLEM_TYPE: {"schema": reference("ProblemDocument")}}}
        for status, text in _REFUSALS.items()
        if status not in operation.absent
    }
    refused[401]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    refused[503]["headers"] = {
        "Retry-After": {
            "description": "Seconds to wait before you send the request again.",
            "schema": {"type": "integer"},
        }
    }
    return {202: taken, **refused}


def _attribute(name: str, description: str) -> dict[str, object]:
    return {
        "name": f"ce-{name}",
        "in": "header",
        "description": description,
        "schema": {"type": "string"},
        "example": BINARY_HEADERS.get(f"ce-{name}", EVENT.get(name)),
    }


_BINARY: Final = (
    _attribute("specversion", "Binary mode: `1.0`."),
    _attribute("id", "Binary mode: the event's `id`."),
    _attribute("source", "Binary mode: the event's `source`."),
    _attribute("type", "Binary mode: the event's `type`."),
    _attribute("subject", "Binary mode: the account. Characters other than printable ASCII are percent-encoded."),
    _attribute("time", "Binary mode: the event's `time`."),
)

OPERATIONS: Final = {
    "/v1/changes": Operation(
        "tellChanges",
        "Publish changes",
        "Send CloudEvents 1.0 in structured, batched or binary mode. The publisher takes all events of a request, or "
        "none. In binary mode, the attributes are `ce-*` headers, and the body is the event's `data`. Without data, "
        "the request has no body and no content type. The publisher also takes events of Dapr and Debezium that carry "
        "a row of an outbox.",
        (
            Body(cloudevents.STRUCTURED, reference("AnyEvent"), EXAMPLES["structured"]),
            Body(
                cloudevents.BATCHED,
                {"type": "array", "maxItems": cloudevents.MAX_EVENTS, "items": reference("AnyEvent")},
                EXAMPLES["batched"],
            ),
            Body(jsonbody.JSON, reference("EventData"), EXAMPLES["binary"]),
        ),
        (PREFER, *_BINARY),
        body_required=False,
    ),
    "/v1/resync": Operation(
        "haveClientsLook",
        "Ask clients to resynchronise",
        "Tells every client of these accounts, or of all accounts, to fetch everything again. Gateways spread the "
        "clients over time (`--resync-rate`).",
        (Body(jsonbody.JSON, reference(resyncs.Resync.__name__), EXAMPLES["resync"]),),
    ),
    "/v1/webhooks/stalwart": Operation(
        "takeStalwartWebhook",
        "Webhook of Stalwart",
        "Takes the events that Stalwart sends to a webhook. Events that are not about mail get the answer 202 too, and "
        "no client is told of them. With `--stalwart-secret`, the publisher checks the signature and needs no token.",
        (Body(jsonbody.JSON, reference("StalwartEvents"), EXAMPLES["stalwart"]),),
        (PREFER, SIGNATURE),
        absent=(415,),
    ),
    "/v1/dovecot": Operation(
        "takeDovecotDelivery",
        "Deliveries from Dovecot",
        'Takes the requests of Dovecot\'s push notification driver "ox". If Dovecot sends a delivery twice, both '
        "requests get the answer 202, and clients are told once.",
        (Body(jsonbody.JSON, reference(dovecot.Notification.__name__), EXAMPLES["dovecot"]),),
        absent=(415, 500),
    ),
}
"""By path. A route without an entry cannot be made."""
