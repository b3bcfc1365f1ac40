"""UTF-8 by trying: slow, and right by definition."""

from __future__ import annotations

# The first continuation byte is the choosy one: some starts want it below 0x90 or 0xa0, others above.
_ENDINGS = (b"", *(first + b"\x80" * more for first in (b"\x80", b"\x90", b"\xa0") for more in range(3)))


def can_become_text(beginning: bytes) -> bool:
    """Whether bytes can follow, or none, that make it UTF-8."""
    return any(_is_text(beginning + ending) for ending in _ENDINGS)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
