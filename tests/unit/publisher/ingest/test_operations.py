from __future__ import annotations

import json

import pytest

from tidings.publisher.ingest.examples import BINARY_HEADERS, EXAMPLES
from tidings.publisher.ingest.operations import OPERATIONS, described, responses
from tidings.wire import cloudevents, jsonbody

PATHS = list(OPERATIONS)


def test_the_examples_of_changes_are_read_as_changes() -> None:
    kinds = {"structured": cloudevents.STRUCTURED, "batched": cloudevents.BATCHED, "binary": jsonbody.JSON}
    for kind, media_type in kinds.items():
        headers = {"content-type": media_type, **(BINARY_HEADERS if kind == "binary" else {})}
        for example in EXAMPLES[kind].values():
            assert cloudevents.parse(headers.items(), json.dumps(example).encode(), 0.0)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_says_what_it_takes_and_what_it_refuses(path: str) -> None:
    operation = OPERATIONS[path]
    told = described(operation)
    assert set(told["requestBody"]["content"]) == {body.media_type for body in operation.bodies}
    assert told["security"] == [{"bearer": []}, {"basic": []}, {}]
    answers = responses(operation)
    assert answers[202]["content"][jsonbody.JSON]["schema"] == {"$ref": "#/components/schemas/Accepted"}
    assert not set(operation.absent) & set(answers)
    assert "Retry-After" in answers[503]["headers"]
    assert "WWW-Authenticate" in answers[401]["headers"]


def test_operations_have_names_of_their_own() -> None:
    assert len({operation.id for operation in OPERATIONS.values()}) == len(OPERATIONS)
