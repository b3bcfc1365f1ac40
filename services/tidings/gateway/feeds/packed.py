"""The changes of a batch as windows keep them: accounts, data types and states, a fifth of the log's bytes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any, Final

import msgspec

from tidings.gateway.model.changes import ANYTHING, named
from tidings.wire.change import DATA_TYPES, Change

MOST_KINDS: Final = 512
"""So many kinds have a number before the accounts of further domains are kept whole."""
MOST_DOMAIN: Final = 64
"""Characters of a domain that is part of a kind: all kinds of a process take at most 0.25 MB."""
_SETS: Final = {(ANYTHING,), *DATA_TYPES.values(), *((name,) for name in chain(*DATA_TYPES.values()))}
"""Data types that often change together."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Any]).decode

_Kind = tuple[str, ...]
"""The @ and the domain of accounts, or two empty strings where the account is kept whole; then data types."""


class Packing:
    """Packs changes, and unpacks what it has packed. Kinds of changes have numbers, which grow with what is met.

    The accounts of an installation share a few domains. A storage that counts all changes of an account, or has no
    states, says the same of all data types: that is kept once.
    """

    def __init__(self) -> None:
        self._numbers: dict[_Kind, int] = {}
        self._kinds: list[_Kind] = []

    def pack(self, changes: Sequence[Change]) -> bytes:
        """What clients are told of these changes; a state that is to be made is left out."""
        fields: list[object] = []
        numbers = self._numbers
        for change in changes:
            changed = named(change)
            states = [*changed.values()]
            name, at, domain = change.account.partition("@")
            number = numbers.get((at, domain, *changed))
            if number is None:
                name, number = self._learn(change.account, tuple(changed))
            if number is None:
                fields += (name, tuple(changed), *states)
            # Most that differ do so there, and a count is dearer.
            elif states[0] == states[-1] and states.count(states[0]) == len(states):
                fields += (name, number, states[0])
            else:
                fields += (name, ~number, *states)
        return _encode(fields)

    def _learn(self, account: str, names: tuple[str, ...]) -> tuple[str, int | None]:
        """What is kept of an account whose kind has no number yet, and the number; None for unusual data types."""
        if names not in _SETS:
            return account, None
        name, at, domain = account.partition("@")
        if len(self._kinds) >= MOST_KINDS or len(domain) > MOST_DOMAIN:
            name, at, domain = account, "", ""
        kind = (at, domain, *names)
        if kind not in self._numbers:
            self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
        return name, self._numbers[kind]

    def unpack(self, data: bytes | bytearray | memoryview) -> list[tuple[str, dict[str, str | None]]]:
        """The account of each change, and its states by data type."""
        fields = iter(_decode(data))
        changes = []
        for name in fields:
            known = next(fields)
            if isinstance(known, list):
                changes.append((name, dict(zip(known, fields, strict=False))))
                continue
            alike = known >= 0
            at, domain, *names = self._kinds[known if alike else ~known]
            states = repeat(next(fields)) if alike else fields
            changes.append((f"{name}{at}{domain}", dict(zip(names, states, strict=False))))
        return changes
