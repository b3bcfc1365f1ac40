"""The changes of a batch as a window keeps them: accounts, data types and states, a third of the log's bytes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from tidings.gateway.model.changes import named
from tidings.wire.change import DATA_TYPES, Change

_SETS: Final = tuple(dict.fromkeys((*DATA_TYPES.values(), *((name,) for name in chain(*DATA_TYPES.values())))))
"""Data types that often change together. Their number stands for them."""
_NUMBERS: Final = {names: number for number, names in enumerate(_SETS)}
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Any]).decode


def pack(changes: Sequence[Change]) -> bytes:
    """What clients are told of these changes; a state that is to be made is left out."""
    fields: list[object] = []
    for change in changes:
        changed = named(change)
        names = tuple(changed)
        fields += (change.account, _NUMBERS.get(names, names), *changed.values())
    return _encode(fields)


def unpack(data: bytes | bytearray | memoryview) -> list[tuple[str, dict[str, str | None]]]:
    """The account of each change, and its states by data type."""
    fields = iter(_decode(data))
    changes = []
    for account in fields:
        known = next(fields)
        names = _SETS[known] if isinstance(known, int) else known
        changes.append((account, dict(zip(names, fields, strict=False))))
    return changes
