"""Tells a publisher of the changes that the webmail itself makes, as a mail storage would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, Protocol
from uuid import uuid4

import httpx2
import structlog
from prometheus_client import CollectorRegistry, Counter

TIMEOUT_SECONDS: Final = 2.0
SOURCE: Final = "/webmail"
Event = Literal["MessageNew", "MessageRead", "FlagsClear", "MessageExpunge"]
"""RFC 5423 section 4 names of what a webmail does."""

_log = structlog.get_logger()


class Announcer(Protocol):
    """Where the webmail's own changes are announced."""

    async def announce(self, account: str, event: Event) -> None:
        """Tell of a change. It has happened: that nobody could be told is logged, never raised."""


class SourceAnnouncer:
    """For a directory that a Maildir source watches: it announces every program's changes, ours included."""

    async def announce(self, account: str, event: Event) -> None:
        """Leave it to the source."""


class IngestAnnouncer:
    """Announces to a publisher's `POST /v1/changes` as CloudEvents 1.0."""

    name = "announcer"

    def __init__(self, ingest_url: str, token: str | None, registry: CollectorRegistry) -> None:
        self._announcements = Counter(
            "tidings_webmail_announcements",
            "Changes that the webmail announced to a publisher: accepted, failed",
            ["outcome"],
            registry=registry,
        )
        self._http = httpx2.AsyncClient(
            base_url=ingest_url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def start(self) -> None:
        """Connections are made when needed."""

    async def stop(self) -> None:
        await self._http.aclose()

    async def announce(self, account: str, event: Event) -> None:
        """Tell the publisher, once; the next change of the account makes up for one it missed."""
        body = {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": SOURCE,
            "type": f"mail.{event}",
            "subject": account,
            "time": datetime.now(UTC).isoformat(),
        }
        try:
            response = await self._http.post(
                "/v1/changes", json=body, headers={"Content-Type": "application/cloudevents+json"}
            )
            response.raise_for_status()
        except httpx2.HTTPError as error:
            self._announcements.labels("failed").inc()
            _log.warning("change not announced", mail_event=event, reason=str(error) or type(error).__name__)
        else:
            self._announcements.labels("accepted").inc()
