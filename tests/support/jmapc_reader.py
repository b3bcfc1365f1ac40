"""Reads mail with PyPI's jmapc, and asks what changed whenever it is told: HOST USER PASSWORD.

Prints one JSON object a line: the states that were pushed, and the state that the server has when it is asked what
changed since the last one.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from jmapc import Client
from jmapc.client import EventSourceConfig
from jmapc.methods import EmailChanges, EmailChangesResponse, EmailGet, EmailGetResponse


def main(host: str, user: str, password: str) -> None:
    asked = EventSourceConfig("Email,Mailbox,Thread,EmailDelivery", "no", 30)
    client = Client.create_with_password(host, user, password, event_source_config=asked)
    found = client.request(EmailGet(ids=[]))
    assert isinstance(found, EmailGetResponse), found
    state = found.state
    print(json.dumps({"state": state}), flush=True)  # noqa: T201
    for event in client.events:
        changed = {account: asdict(states) for account, states in event.data.changed.items()}
        if not changed:
            continue
        changes = client.request(EmailChanges(since_state=str(state)))
        assert isinstance(changes, EmailChangesResponse), changes
        state = changes.new_state
        created = len(changes.created or [])
        print(json.dumps({"changed": changed, "state": state, "created": created}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
