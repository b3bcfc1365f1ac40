"""How a client is told: which data types, in which wire format. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tidings.gateway.model.held import Held

Encode = Callable[[Sequence[Mapping[str, Mapping[str, str]]], str], list[bytes]]
"""Several `changed` (account -> data type -> state) and the cursor that goes with each of them, to the bytes that tell
a client of each. Several at once, since a call for each would cost as much as encoding it.
"""


class Ends(Enum):
    """When a connection ends by having been told something."""

    NEVER = auto()
    WITH_CHANGE = auto()
    AT_ONCE = auto()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Form:
    """What a client is told and how: the data types (None: all) and the encoder of its wire format.

    `greets` says whether it is told of a fresh cursor when it subscribes though nothing was missed. Shared between
    connections and compared by identity, so that a change is encoded once for all that want the same. `held` counts its
    bytes.
    """

    types: frozenset[str] | None
    encode: Encode
    ends: Ends = Ends.NEVER
    greets: bool = True
    held: Held | None = None
