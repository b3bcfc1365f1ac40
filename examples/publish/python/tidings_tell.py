"""Tells a Tidings publisher what changed in the mail of an account. Copy this module. It needs only Python 3.11.

    from tidings_tell import tell
    tell("alice", "MessageNew", {"Email": "s1042", "Mailbox": "s77"})

`TIDINGS_INGEST_URL` is the publisher, by default http://127.0.0.1:8081. `TIDINGS_INGEST_TOKEN` is one of its tokens.

`tell` returns when the publisher has accepted the change, and raises `Refused` when the publisher refuses it for good.
Until then, `tell` repeats the same event, also while the publisher is away. Changes are sent one after another, in the
order of the calls from all threads, so the changes of an account keep their order. If the process ends, changes whose
`tell` has not returned are lost. Several processes have no order among each other.
"""

import json
import logging
import os
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread
from urllib.parse import SplitResult, urlsplit

KINDS = {"http": HTTPConnection, "https": HTTPSConnection}
TRY_AGAIN = {408, 429, 502, 503, 504}  # from the publisher, or from a proxy in front of it
_calls: SimpleQueue[tuple[Future[None], Callable[[], None]]] = (
    SimpleQueue()
)  # keeps the order of the calls. A Lock does not
_sender = Thread()
_starting = Lock()


class Refused(Exception):
    """The publisher refused a change for good. The message has its status and its reasons."""


def tell(account: str, event: str, changed: dict[str, str | None] | None = None) -> None:
    """Send an RFC 5423 event, with the new states by JMAP data type if there are states. Raises Refused."""
    told: dict[str, object] = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/tidings-tell"}
    told |= {"type": f"mail.{event}", "subject": account, "time": datetime.now(UTC).isoformat()}
    told |= {"data": {"changed": changed}} if changed is not None else {}
    taken: Future[None] = Future()
    _calls.put((taken, partial(_repeat, *_publisher(), json.dumps(told).encode())))
    _start()
    taken.result()


def _start() -> None:
    """Have one thread that sends, also after a fork. The process may end without it."""
    global _sender
    with _starting:
        if not _sender.is_alive():
            _sender = Thread(target=_send, name="tidings-tell", daemon=True)
            _sender.start()


def _send() -> None:
    while True:
        taken, repeat = _calls.get()
        try:
            taken.set_result(repeat())
        except Exception as error:  # noqa: BLE001 - the caller's
            taken.set_exception(error)


def _publisher() -> tuple[SplitResult, dict[str, str]]:
    url = urlsplit(os.environ.get("TIDINGS_INGEST_URL") or "http://127.0.0.1:8081")
    token = os.environ.get("TIDINGS_INGEST_TOKEN", "")
    if url.scheme not in KINDS or not url.netloc:
        raise ValueError("TIDINGS_INGEST_URL is not the http or https URL of a publisher")
    if not (token.isascii() and token.isprintable()):
        raise ValueError("TIDINGS_INGEST_TOKEN has a character that tokens may not have")
    return url, {
        "Content-Type": "application/cloudevents+json",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }


def _repeat(url: SplitResult, headers: dict[str, str], body: bytes) -> None:
    """Send the same bytes until the publisher answers for them, so the event keeps its id."""
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
        # Wait as long as the publisher asks, and a random time, so that not all senders come at once when it is back.
        pause = (min(int(wait), 60) if wait.isdecimal() else 0) + random.uniform(0, min(5, 0.25 * 2 ** min(attempt, 8)))
        logging.warning("not taken, told again in %.1f s: %s", pause, reason)
        time.sleep(pause)
