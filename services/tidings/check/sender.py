"""Telling publishers of changes, as a mail storage does: over HTTP, again until one has answered 202."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import httpx2

from tidings.errors import CheckFailed, CheckRefused
from tidings.ops.http.reason import detail, hint, reason

SOURCE: Final = "/tidings/check"
ANSWER_SECONDS: Final = 10.0
PASSING: Final = (httpx2.codes.REQUEST_TIMEOUT, httpx2.codes.TOO_MANY_REQUESTS)
"""Refusals that mean: later."""


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
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=tls,
            limits=httpx2.Limits(max_connections=None),
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def post(self, url: str, told: Mapping[str, object]) -> None:
        """Tell the publisher at `url` of an event, once; returns when it has acknowledged. Raises CheckFailed."""
        await self._post(url, "/v1/changes", "application/cloudevents+json", told)

    async def ask_for_resync(self, url: str, asked: Mapping[str, object]) -> None:
        """Have clients look, once; returns when the publisher at `url` has acknowledged. Raises CheckFailed."""
        await self._post(url, "/v1/resync", "application/json", asked)

    async def _post(self, url: str, path: str, content_type: str, told: Mapping[str, object]) -> None:
        try:
            response = await self._http.post(
                f"{url.rstrip('/')}{path}", json=told, headers={"Content-Type": content_type}
            )
        except (httpx2.HTTPError, OSError) as error:
            raise CheckFailed(f"the publisher at {url} does not answer: {reason(error)}") from error
        if response.status_code != httpx2.codes.ACCEPTED:
            said = f"{response.status_code}: {detail(response.content)}{hint(response.status_code, 'publisher')}"
            kind = CheckRefused if response.is_client_error and response.status_code not in PASSING else CheckFailed
            raise kind(f"the publisher at {url} answers {said}")
