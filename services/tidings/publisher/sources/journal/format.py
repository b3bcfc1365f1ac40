"""The journal: changes kept on disk, by programs beside a mail server, until a publisher takes them. Pure.

A journal is a directory. Any number of programs write to it, under any user id; one publisher at a time reads it.

A **pending** file is named after the hour (UTC) in which it was written, and by a part of its own where several users
write: `2026112918.jsonl`, `2026112918-5000.jsonl`. Each line is a CloudEvent in JSON, as `POST /v1/changes` takes it,
UTF-8, of at most MAX_LINE_BYTES, the account's login as its `subject`. Lines without anything in them mean nothing.

Who writes:

1. keeps the directory bounded: it writes nothing when what is there has come to its bound. Who cannot list a directory
   adds up the files of the last WEEK_HOURS;
2. appends to the pending file of the hour (O_APPEND), with one `write`, a line feed and then whole lines. So what
   another one was killed in the middle of is a line of its own;
3. looks whether the name still leads to the lines. If not, a publisher has claimed the file, maybe before the lines
   were in it: everything from 1 on is done again. A change may be told twice; it is not missed;
4. has it on the disk (fsync), and only then closes the file, which is what a publisher waits for;
5. where a change cannot be kept, makes the empty file `lost`: everybody is told to look.

Who reads, the publisher, **claims** a pending file: it renames the file to `00000012.2026112918.jsonl.claimed`,
counting up. What is in it then, to its end, is told, in order, and only when all of that is confirmed the file is
removed. It does one file after the other, claimed ones first, then pending ones by name. So the changes of an account
that one user id writes are told in the order in which they were written. A publisher that is killed begins its claimed
file again. `lost` is claimed alike, told and removed.

A writer may keep what it has to remember in files of the name `breaker`, with a part of its own. What has another name
is left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MAX_LINE_BYTES: Final = 64 * 1024
DEFAULT_BYTES: Final = 256 * 1024 * 1024
"""What a journal may hold unless its writers are told otherwise: more than a million changes."""
WEEK_HOURS: Final = 7 * 24
LOST: Final = "lost"

_PENDING = re.compile(r"[0-9]{10}(-[A-Za-z0-9_]{1,32})?\.jsonl")
_CLAIMED = re.compile(r"([0-9]{8})\.(?:[0-9]{10}(?:-[A-Za-z0-9_]{1,32})?\.jsonl|lost)\.claimed")

_WRITERS_OWN = re.compile(r"breaker(-[A-Za-z0-9_]{1,32})?")


def pending_name(hour: str, part: str = "") -> str:
    """The name of the file for an hour, as `%Y%m%d%H` has it; `part` tells writers under different user ids apart."""
    return f"{hour}-{part}.jsonl" if part else f"{hour}.jsonl"


def claimed_name(number: int, name: str) -> str:
    """The name of a file that is claimed."""
    return f"{number:08}.{name}.claimed"


def says_lost(claimed: str) -> bool:
    """Whether a claimed file is the one that says that changes were lost."""
    return claimed.endswith(f".{LOST}.claimed")


def lines(events: Iterable[Mapping[str, object]]) -> bytes:
    """What a writer appends for CloudEvents. Raises ValueError for one that is longer than a line may be."""
    encoded = [json.dumps(event, separators=(",", ":"), allow_nan=False).encode() for event in events]
    if any(len(line) > MAX_LINE_BYTES for line in encoded):
        raise ValueError(f"an event is longer than {MAX_LINE_BYTES} bytes")
    return b"\n".join([b"", *encoded, b""])


@dataclass(frozen=True, slots=True)
class Names:
    """What a journal's directory holds, each in the order in which it is to be told."""

    claimed: tuple[str, ...]
    pending: tuple[str, ...]
    lost: bool
    foreign: tuple[str, ...]

    @property
    def next_number(self) -> int:
        """The number of the next file to be claimed."""
        return int(self.claimed[-1][:8]) + 1 if self.claimed else 1


def sort(names: Iterable[str]) -> Names:
    """Tell the names in a journal's directory apart."""
    claimed, pending, foreign = [], [], []
    lost = False
    for name in sorted(names):
        if _PENDING.fullmatch(name):
            pending.append(name)
        elif _CLAIMED.fullmatch(name):
            claimed.append(name)
        elif name == LOST:
            lost = True
        elif not _WRITERS_OWN.fullmatch(name):
            foreign.append(name)
    return Names(tuple(claimed), tuple(pending), lost, tuple(foreign))
