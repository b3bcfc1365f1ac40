"""Requests as senders make them. The OpenAPI document shows them, and the tests send them. Pure."""

from __future__ import annotations

from typing import Final

EVENT: Final[dict[str, object]] = {
    "specversion": "1.0",
    "id": "d6c1f0a2",
    "source": "imap://mail.example/store-3",
    "type": "mail.MessageNew",
    "subject": "alice",
    "time": "2026-11-24T10:00:00.250Z",
    "data": {"changed": {"Email": "s1042", "Mailbox": "s77", "Thread": "s9"}},
}
"""A message came, and the storage knows the new states."""
_FLAGS: Final = {
    "specversion": "1.0",
    "id": "d6c1f0a3",
    "source": "imap://mail.example/store-3",
    "type": "mail.FlagsSet",
    "subject": "bob",
}
"""The data types follow from the event name."""
_DAPR: Final = {
    "specversion": "1.0",
    "id": "5929aaac-a5e2-4ca1-859c-edfe73f11565",
    "source": "store",
    "type": "com.dapr.event.sent",
    "datacontenttype": "application/json",
    "data": {"account": "alice", "type": "MessageNew"},
}
BINARY_HEADERS: Final = {
    "ce-specversion": "1.0",
    "ce-id": "d6c1f0a4",
    "ce-source": "imap://mail.example/store-3",
    "ce-type": "mail.MessageNew",
    "ce-subject": "zo%C3%AB",
}
"""The headers of an event in binary mode."""

EXAMPLES: Final[dict[str, dict[str, object]]] = {
    "structured": {"with states": EVENT, "without states": _FLAGS, "a row by Dapr": _DAPR},
    "batched": {"two events": [EVENT, _FLAGS]},
    "binary": {"the data of an event": {"changed": {"Email": "s1043"}}},
    "resync": {"some accounts": {"accounts": ["alice", "bob"]}, "everybody": {"everybody": True}},
    "stalwart": {
        "a message came": {
            "events": [
                {
                    "id": "1",
                    "createdAt": "2026-11-24T10:00:00Z",
                    "type": "message-ingest.ham",
                    "data": {"accountId": 3},
                }
            ]
        }
    },
    "dovecot": {
        "a delivery": {
            "user": "alice",
            "event": "messageNew",
            "folder": "INBOX",
            "imap-uidvalidity": 1732442400,
            "imap-uid": 7,
        }
    },
}
"""Bodies by kind of request, and by name."""
