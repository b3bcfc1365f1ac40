"""The API documents as tools read them: valid by the schemas of the specifications, and good for a generator."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.api_documents import REFERENCE, AsyncApi, OpenApi, loaded

TOOLS = Path(__file__).parent / "api-tools"
OPENAPI = ["openapi-ingest.json", "openapi-gateway.yaml", "openapi-admin.yaml"]


def tool(*command: str) -> None:
    """Run a program from npm."""
    bins = TOOLS / "node_modules" / ".bin"
    assert bins.is_dir(), f"{TOOLS}: npm packages are needed: `make test` installs them"
    env = {**os.environ, "PATH": f"{bins}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=TOOLS, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", OPENAPI)
def test_openapi_documents_are_valid(name: str) -> None:
    document = loaded(name)
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    wrong = {**document, "paths": {"/no/{parameter}": {"get": {"responses": {}}}}}
    assert list(OpenAPIV31SpecValidator(wrong).iter_errors())


def test_the_asyncapi_document_is_valid() -> None:
    schema = json.loads((TOOLS / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json").read_text())
    document = loaded("asyncapi.yaml")
    assert document["asyncapi"] == "3.0.0"
    assert [error.message for error in Draft7Validator(schema).iter_errors(document)] == []
    assert list(Draft7Validator(schema).iter_errors({**document, "operations": {"a": {}}}))


def test_every_reference_leads_somewhere() -> None:
    for document in (AsyncApi(loaded("asyncapi.yaml")), *map(OpenApi, map(loaded, OPENAPI))):
        for schema in document.content["components"]["schemas"].values():
            document.validator.check_schema(schema)
        for reference in references(document.content):
            assert document.resolved({"$ref": reference})


def references(value: object) -> list[str]:
    """Every `$ref` of a document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for member in value.values() for each in references(member)]
    return [each for item in value for each in references(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", OPENAPI)
def test_a_client_can_be_generated(name: str, tmp_path: Path) -> None:
    made = tmp_path / "api.ts"
    tool("openapi-typescript", str(REFERENCE / name), "--output", str(made))
    tool("tsc", "--noEmit", "--strict", str(made))
    assert "export interface paths" in made.read_text()


def test_what_both_documents_describe_is_the_same() -> None:
    gateway, push = loaded("openapi-gateway.yaml"), AsyncApi(loaded("asyncapi.yaml"))
    state_change = {"@type": "StateChange", "changed": {"alice": {"Email": "s1"}}, "pushState": "AR"}
    document = OpenApi(gateway)
    each_wrong: list[dict[str, object]] = [
        {},
        {"more": 1},
        {"pushState": ""},
        {"changed": {"alice": {}}},
        {"changed": {"alice": {"Email": ""}}},
    ]
    for wrong in each_wrong:
        told = {**state_change, **wrong}
        faults = document.faults(gateway["components"]["schemas"]["StateChange"], told)
        assert bool(faults) == bool(push.faults(push.content["components"]["schemas"]["StateChangeWithCursor"], told))
        assert bool(faults) == bool(wrong)
