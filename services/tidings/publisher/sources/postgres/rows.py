"""What a row of the outbox tells. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from tidings.wire import mailevent, outbox
from tidings.wire.change import Change

SOURCE: Final = "/postgresql/tidings_outbox"


class Row(NamedTuple):
    """A row as it is read: `seq` is its place, `changed` is JSON, `at` in Unix seconds.

    `waited`: in seconds by the database's clock.
    """

    seq: int
    id: str
    account: str
    type: str
    changed: str | None
    at: float
    waited: float


def change_of(row: Row, ingested: float) -> Change | str:
    """The change that a row tells, or why it tells none; `ingested` is the present time, in Unix seconds."""
    columns = {"account": row.account, "type": row.type, "changed": row.changed}
    found = mailevent.read(0, outbox.event_of(columns, event_id=row.id, source=SOURCE), ingested)
    if isinstance(found, Change):
        return msgspec.structs.replace(found, time=row.at)
    return "; ".join(f"{outbox.COLUMNS.get(fault.field, fault.field)} {fault.detail}" for fault in found)
