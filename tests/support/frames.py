"""Frames as a client sends them (RFC 6455 section 5.2)."""

from __future__ import annotations

from typing import Final

KEY: Final = b"\x0f\xf0\x55\xaa"
ZEROS: Final = bytes(4)
"""Leaves a payload as it is."""


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = KEY) -> bytes:
    """A client's frame, or what should be one; an empty mask leaves it unmasked."""
    first, bit, size = fin << 7 | rsv << 4 | opcode, 0x80 if mask else 0, len(payload)
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65_536:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + mask + (_xor(payload, mask) if any(mask) else payload)


def _xor(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // len(mask) + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
