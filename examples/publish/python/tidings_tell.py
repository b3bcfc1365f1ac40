"""Tells a Tidings publisher what changed in the mail of an account. Copy this module: it needs nothing but Python 3.11.

    from tidings_tell import tell
    tell("alice", "MessageNew", {"Email": "s1042", "Mailbox": "s77"})

`TIDINGS_INGEST_URL` is the publisher, http://127.0.0.1:8081 unless set. `TIDINGS_INGEST_TOKEN` is one of its tokens.

`tell` returns when the publisher answers for the change. It raises `Refused` when the publisher will never take the
change. Until one of both, `tell` repeats the same event, also while the publisher is away. Changes are told one after
another, in the order of the calls from whatever thread, so those of one account keep their order. What has not returned
yet is lost with the process. Several processes have no order among each other.
"""

import json
import logging
import os
import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from urllib.parse import SplitResult, urlsplit

KINDS = {"http": HTTPConnection, "https": HTTPSConnection}
TRY_AGAIN = {408, 429, 502, 503, 504}  # of the publisher, or of a proxy in front of it
_line = ThreadPoolExecutor(1, "tidings-tell")  # first come, first served, which a Lock does not promise


class Refused(Exception):
    """The publisher will not take a change, however often it is told. The message has its status and its reasons."""


def tell(account: str, event: str, changed: dict[str, str | None] | None = None) -> None:
    """Tell of an RFC 5423 event, and of the new states by JMAP data type where there are states. Raises Refused."""
    told: dict[str, object] = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/tidings-tell"}
    told |= {"type": f"mail.{event}", "subject": account, "time": datetime.now(UTC).isoformat()}
    told |= {"data": {"changed": changed}} if changed is not None else {}
    _line.submit(_repeat, *_publisher(), json.dumps(told).encode()).result()


def _publisher() -> tuple[SplitResult, dict[str, str]]:
    url = urlsplit(os.environ.get("TIDINGS_INGEST_URL") or "http://127.0.0.1:8081")
    token = os.environ.get("TIDINGS_INGEST_TOKEN", "")
    if url.scheme not in KINDS or not url.netloc:
        raise ValueError("TIDINGS_INGEST_URL is not the http or https URL of a publisher")
    if not (token.isascii() and token.isprintable()):
        raise ValueError("TIDINGS_INGEST_TOKEN has a character that no token has")
    return url, {
        "Content-Type": "application/cloudevents+json",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }


def _repeat(url: SplitResult, headers: dict[str, str], body: bytes) -> None:
    """Send until it is answered for: always the same bytes, so the event has the same id each time."""
    for attempt in count():
        try:
            with closing(KINDS[url.scheme](url.netloc, timeout=10)) as connection:
                connection.request("POST", f"{url.path.rstrip('/')}/v1/changes", body, headers)
                answer = connection.getresponse()
                wait = answer.headers.get("Retry-After", "")
                reason = f"{answer.status} {answer.read(4096).decode(errors='replace')}"
            if answer.status == 202:
                return
            if answer.status not in TRY_AGAIN:
                raise Refused(reason)
        except (OSError, HTTPException) as error:
            reason, wait = f"no answer: {error!r}", ""
        # As long as is asked for, and at random: publishers that come back are not met by everybody at once.
        pause = (min(int(wait), 60) if wait.isdecimal() else 0) + random.uniform(0, min(5, 0.25 * 2 ** min(attempt, 8)))
        logging.warning("not taken, told again in %.1f s: %s", pause, reason)
        time.sleep(pause)
