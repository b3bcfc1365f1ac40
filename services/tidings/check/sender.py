"""Telling publishers of changes, as a mail storage does: over HTTP, again until one has answered 202."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import httpx

from tidings.errors import CheckFailed

SOURCE: Final = "/tidings/check"
ANSWER_SECONDS: Final = 10.0
SAID_CHARS: Final = 200
"""Of what somebody says who refuses."""


def event(account: str, changed: Mapping[str, str]) -> dict[str, object]:
    """A change as a CloudEvent; sent again, it is the same."""
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": SOURCE,
        "type": "mail.FlagsSet",
        "subject": account,
        "time": datetime.now(UTC).isoformat(),
        "data": {"changed": changed},
    }


class Sender:
    """Posts events to publishers."""

    def __init__(self, token: str | None, tls: ssl.SSLContext) -> None:
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=tls,
            limits=httpx.Limits(max_connections=None),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def post(self, url: str, told: Mapping[str, object]) -> None:
        """Tell the publisher at `url` of an event, once; returns when it has acknowledged. Raises CheckFailed."""
        try:
            response = await self._http.post(
                f"{url.rstrip('/')}/v1/changes", json=told, headers={"Content-Type": "application/cloudevents+json"}
            )
        except (httpx.HTTPError, OSError) as error:
            raise CheckFailed(f"the publisher at {url} does not answer: {error or type(error).__name__}") from error
        if response.status_code != httpx.codes.ACCEPTED:
            raise CheckFailed(f"the publisher at {url} answers {response.status_code}: {detail(response.content)}")


def detail(body: bytes | bytearray) -> str:
    """What problem details (RFC 9457) say, or the beginning of a body that has none."""
    try:
        problem = json.loads(body)
        return str(problem["detail"])[:SAID_CHARS]
    except (ValueError, KeyError, TypeError):
        return body[:SAID_CHARS].decode(errors="replace") or "nothing said"
