"""Profiles as bytes: google/pprof's profile.proto, version 3 of Protocol Buffers. Pure.

Readers differ in what they forgive, so this is what the strictest asks for: ids are exactly 1 to N, the string table
begins with "", there is one mapping, which says that everything is symbolized, and each location has an address that
is the same in every profile of every process, for some know a location by nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from asyncio_pprof.pprof.profile import Frame, Kind, Labels, Profile, Stack, ValueType

MAPPING_START: Final = 0x1000
MAPPING_LIMIT: Final = 1 << 63

_VARINT, _BYTES = 0, 2
_MASK: Final = (1 << 64) - 1
_ONE_BYTE: Final = [bytes((value,)) for value in range(0x80)]

K = TypeVar("K")


def varint(value: int) -> bytes:
    """A number of 64 bits; a negative one is its two's complement, in ten bytes."""
    value &= _MASK
    if value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field with a number; nothing for 0, which is what is understood without it."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""


def chunk(field: int, value: bytes) -> bytes:
    """A field with bytes, a string or a message."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def address(frame: Frame) -> int:
    """Where a line of code is said to be: never 0, and the same in every process that runs this code."""
    identity = f"{frame.file}|{frame.function}|{frame.line}".encode("utf-8", "surrogatepass")
    digest = int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest(), "big")
    return MAPPING_START + digest % (MAPPING_LIMIT - MAPPING_START)


class _Numbered(dict[K, bytes]):
    """Varints of numbers that are given out in order, when something is first asked for."""

    def __init__(self, first: int, add: Callable[[K, int], None]) -> None:
        self._first = first
        self._add = add

    def __missing__(self, key: K) -> bytes:
        number = len(self) + self._first
        self[key] = encoded = varint(number)
        self._add(key, number)
        return encoded


class Encoder:
    """Encodes one profile, a sample at a time, so that who drives it can rest in between."""

    def __init__(self, kind: Kind, program: str) -> None:
        self._kind = kind
        self._body = bytearray()
        self._strings: _Numbered[str] = _Numbered(0, self._add_string)
        self._functions: _Numbered[tuple[str, str, int]] = _Numbered(1, self._add_function)
        self._locations: _Numbered[Frame] = _Numbered(1, self._add_location)
        self._string("")
        for value in kind.values:
            self._body += chunk(1, self._value_type(value))
        self._body += chunk(
            3,
            number(1, 1)
            + number(2, MAPPING_START)
            + number(3, MAPPING_LIMIT)
            + self._string(program, 5)
            + b"".join(number(field, 1) for field in (7, 8, 9)),
        )

    def add(self, stack: Stack, labels: Labels, values: tuple[int, ...]) -> None:
        """Encode one sample."""
        sample = chunk(1, b"".join(map(self._locations.__getitem__, stack)))
        sample += chunk(2, b"".join(map(varint, values)))
        for key, value in labels:
            sample += chunk(3, self._string(key, 1) + self._string(value, 2))
        self._body += chunk(2, sample)

    def frames(self) -> Iterable[Frame]:
        """Every frame so far."""
        return self._locations.keys()

    def finish(self, profile: Profile) -> bytes:
        """The whole message, once every sample of this profile is added."""
        for comment in profile.comments:
            self._body += self._string(comment, 13)
        self._body += (
            number(9, profile.time)
            + number(10, profile.duration)
            + chunk(11, self._value_type(self._kind.period_type))
            + number(12, self._kind.period)
            + self._string(self._kind.default, 14)
        )
        return bytes(self._body)

    def _string(self, text: str, field: int = 0) -> bytes:
        """A field with a string's place in the table."""
        return varint(field << 3 | _VARINT) + self._strings[text]

    def _value_type(self, value: ValueType) -> bytes:
        return self._string(value.name, 1) + self._string(value.unit, 2)

    def _add_string(self, text: str, _: int) -> None:
        self._body += chunk(6, text.encode("utf-8", "replace"))

    def _add_function(self, function: tuple[str, str, int], own: int) -> None:
        name, file, start = function
        message = number(1, own) + self._string(name, 2) + self._string(name, 3) + self._string(file, 4)
        self._body += chunk(5, message + number(5, start))

    def _add_location(self, frame: Frame, own: int) -> None:
        function = self._functions[frame.function, frame.file, frame.start]
        line = varint(1 << 3 | _VARINT) + function + number(2, frame.line)
        self._body += chunk(4, number(1, own) + number(2, 1) + number(3, address(frame)) + chunk(4, line))
