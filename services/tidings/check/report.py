"""What `tidings check` says in the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.check.ledger import Arrival, Ledger
from tidings.check.verdict import Loss

SHOWN_LOSSES: Final = 20


def table(ledger: Ledger, lost: Sequence[Loss], compared: bool) -> str:
    """The counts, one a line. `compared` says that the log was read back."""
    changes = [change for history in ledger.changes.values() for change in history]
    acknowledged = [change for change in changes if change.acknowledged is not None]
    repeated = sum(change.attempts > 1 for change in acknowledged)
    counts, resyncs = ledger.counts, ledger.counts.resyncs
    order = "the log, read back" if compared else "the acknowledgements"
    rows = (
        ("acknowledged", f"{len(acknowledged):,}", f"changes of {len(ledger.changes)} accounts; {repeated} sent again"),
        ("pushed", f"{counts.pushed:,}", f"StateChanges to {len(ledger.clients)} clients"),
        ("coalesced", f"{counts.coalesced:,}", "changes told with a later one"),
        ("replayed", f"{counts.replayed:,}", "StateChanges with what a returning client had missed"),
        ("resyncs on return", f"{resyncs[Arrival.RETURN]:,}", "the gateway could not tell what was missed"),
        ("resyncs while connected", f"{resyncs[Arrival.LIVE]:,}", "the gateway may have missed something itself"),
        ("lost", f"{len(lost):,}", f"final states that are not the last ones in {order}"),
        (
            "worst time to learn",
            f"{counts.worst_seconds:,.3f} s",
            "from the acknowledgement, without the time that the client was away",
        ),
    )
    lines = [f"{name:24}{value:>12}  {meaning}" for name, value, meaning in rows]
    lines += [f"LOST: {loss}" for loss in lost[:SHOWN_LOSSES]]
    return "\n".join(lines)
