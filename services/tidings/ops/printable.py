"""Words of others on a terminal. Pure."""

from __future__ import annotations


def plain(text: str) -> str:
    """Text that moves no cursor of a terminal: what is not printable is escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
