"""Prints what PyPI's jmapc is told of, one JSON object a line: HOST TOKEN TYPES CLOSEAFTER PING [LAST_EVENT_ID]."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from jmapc import Client
from jmapc.client import EventSourceConfig


def main(host: str, token: str, types: str, closeafter: str, ping: str, since: str | None = None) -> None:
    asked = EventSourceConfig(types, "state" if closeafter == "state" else "no", int(ping))
    client = Client.create_with_api_token(host, token, last_event_id=since, event_source_config=asked)
    for event in client.events:
        changed = {account: asdict(states) for account, states in event.data.changed.items()}
        print(json.dumps({"id": event.id, "changed": changed}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
