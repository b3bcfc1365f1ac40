"""Changes as the publisher is told of them: CloudEvents."""

from __future__ import annotations

import httpx2

from tests.support.waiting import patient

SECONDS = 30.0
"""How long an answer may take."""


def event(account: str, state: str, source: str = "test") -> dict[str, object]:
    """The event that the mail of an account has this state now."""
    return {
        "specversion": "1.0",
        "id": state,
        "source": source,
        "type": "mail.FlagsSet",
        "subject": account,
        "data": {"changed": {"Email": state}},
    }


async def tell(ingest: str, account: str, state: str) -> None:
    """Tell the publisher at this URL of a change, which it has to answer for in any weather."""
    async with httpx2.AsyncClient(timeout=patient(SECONDS)) as http:
        headers = {"Content-Type": "application/cloudevents+json"}
        answer = await http.post(f"{ingest}/v1/changes", json=event(account, state), headers=headers)
    assert answer.status_code == 202, answer.text
