"""The page at `/docs`: an OpenAPI document for people, without a script. Pure."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from asyncio_pprof.home import Home

OPENAPI: Final = Home("openapi.json", "openapi.json")
"""Where the page leads: to the document, for tools."""

Object = Mapping[str, Any]


def page(document: Object) -> str:
    """The document as HTML, the operations first."""
    info = document["info"]
    return "".join(
        (
            f"<p class=words>{_words(info['description'])}",
            f"<p class=words>Version {_text(info['version'])}. Tools read <a href=openapi.json>openapi.json</a>.",
            *(
                _operation(path, method, operation)
                for path, item in document["paths"].items()
                for method, operation in item.items()
            ),
            "<h2>Schemas</h2>",
            *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
        )
    )


def _operation(path: str, method: str, operation: Object) -> str:
    return "".join(
        (
            f"<section><h2 id={operation['operationId']}><code>{method.upper()} {_text(path)}</code></h2>",
            f"<p class=words>{_words(operation['description'])}",
            _table("Header", _parameters(operation)),
            *_requests(operation),
            _table("Status", _answers(operation)),
            "</section>",
        )
    )


def _parameters(operation: Object) -> Iterator[tuple[str, str]]:
    for parameter in operation["parameters"]:
        yield f"<code>{_text(parameter['name'])}</code>", _words(parameter["description"])


def _requests(operation: Object) -> Iterator[str]:
    for media_type, content in operation["requestBody"]["content"].items():
        yield f"<h3><code>{_text(media_type)}</code></h3><p>{_type(content['schema'])}"
        for name, example in content["examples"].items():
            yield f"<p>Example: {_text(name)}<pre class=wide>{_json(example['value'])}</pre>"


def _answers(operation: Object) -> Iterator[tuple[str, str]]:
    for status, answer in operation["responses"].items():
        bodies = ", ".join(
            f"<code>{_text(media_type)}</code> {_type(content['schema'])}"
            for media_type, content in answer["content"].items()
        )
        yield _text(status), f"{_words(answer['description'])} {bodies}"


def _table(first: str, rows: Iterator[tuple[str, str]]) -> str:
    heads = f"<th scope=col>{first}<th scope=col>Meaning"
    body = "".join(f"<tr><th scope=row>{name}<td>{text}" for name, text in rows)
    return f"<div class=wide><table class='text words-last'><thead><tr>{heads}<tbody>{body}</table></div>"


def _type(schema: Object) -> str:
    """What a schema is called, with a link to it."""
    if "items" in schema:
        return f"array of {_type(schema['items'])}"
    name = _text(schema["$ref"].rpartition("/")[2])
    return f"<a href=#{name}>{name}</a>"


def _schema(name: str, schema: Object) -> str:
    return f"<section><h3 id={_text(name)}>{_text(name)}</h3><pre class=wide>{_json(schema)}</pre></section>"


def _json(value: object) -> str:
    return html.escape(json.dumps(value, indent=2, ensure_ascii=False), quote=False)


def _text(text: str) -> str:
    return html.escape(text, quote=False)


def _words(text: str) -> str:
    """A description: of its Markdown, code between backticks."""
    parts = map(_text, text.split("`"))
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
