"""What the browser may send: bounded numbers, and JSON in a form that no other site can make it send."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.requests import Request

from tidings.errors import RequestRejected
from tidings.ops.http.bodies import read_body
from tidings.ops.http.loopback import is_own_origin

MAX_BODY_BYTES: Final = 256 * 1024

_ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"

_OFFSET: Final = re.compile(r"[0-9]{1,9}")
# How deep mails are opened that are attached to attached mails: each is read again on the way.
_PATH: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,9}")

M = TypeVar("M", bound="Body")


class Body(BaseModel):
    """The base of request bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TestMail(Body):
    """A mail to write. `to` is an account of this webmail, with or without `@localhost`."""

    __test__ = False

    to: Annotated[str, StringConstraints(min_length=1, max_length=265, pattern=_ONE_LINE)]
    subject: Annotated[str, StringConstraints(max_length=200, pattern=_ONE_LINE)] = ""
    text: Annotated[str, StringConstraints(max_length=64 * 1024)] = ""


class Flags(Body):
    """How to flag a message."""

    unread: bool


def check_own_page(request: Request) -> None:
    """Let only the webmail's own page write.

    Origins that may listen to changes may still not write mail. Browsers send an Origin with every request that
    writes; programs that are no browser send none.

    Raises RequestRejected (403).
    """
    origin = request.headers.get("origin")
    if origin is not None and not is_own_origin(origin, request.headers.get("host", "")):
        raise RequestRejected(403, "foreign_origin", "only the webmail's own page may change mail")


async def read_json(request: Request, model: type[M]) -> M:
    """The request's body.

    It has to say that it is JSON, which a page of another site can only send after asking (a CORS preflight),
    and nobody answers that. Raises RequestRejected (408, 413, 415, 422).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RequestRejected(415, "media_type", "the body must be application/json")
    body = await read_body(request, MAX_BODY_BYTES, _refused)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RequestRejected(422, "body", _faults(error)) from None


def _refused(status: int, detail: str) -> RequestRejected:
    return RequestRejected(status, "body_seconds" if status == 408 else "body_size", detail)


def read_offset(request: Request) -> int:
    """How many of the newest messages come before those that are asked for. Raises RequestRejected (400)."""
    text = request.query_params.get("offset", "0")
    if not _OFFSET.fullmatch(text):
        raise RequestRejected(400, "offset", "offset: must be a number, 0 for the newest messages")
    return int(text)


def read_path(request: Request) -> list[int]:
    """The part that is asked for: `3`, or `3.5` for part 5 of the mail that is attached as part 3. Empty for none.

    Raises RequestRejected (400).
    """
    text = request.query_params.get("part", "")
    if text and not _PATH.fullmatch(text):
        raise RequestRejected(400, "part", "part: must be numbers with dots between, at most 10")
    return [int(number) for number in text.split(".")] if text else []


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}"
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    )
