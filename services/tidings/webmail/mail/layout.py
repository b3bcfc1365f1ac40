"""Which parts of a mail are its text, in which order, and which are attached (RFC 8621 section 4.1.4). Pure.

A part is an alternative only to its own siblings (RFC 2046 section 5.1.4), and an attached mail is one attachment,
whatever is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tidings.webmail.mail.parts import Part

HTML: Final = "text/html"
PLAIN: Final = "text/plain"


@dataclass(slots=True)
class Layout:
    """The same mail twice: `html` for who shows HTML, `plain` for who does not, each with what has no alternative.

    `attached` is everything else, in order.
    """

    html: list[Part] = field(default_factory=list)
    plain: list[Part] = field(default_factory=list)
    attached: list[Part] = field(default_factory=list)


def layout_of(root: Part) -> Layout:
    """How a mail is to be shown."""
    layout = Layout()
    _lay([root], "mixed", False, layout.html, layout.plain)
    shown = {part.number for part in (*layout.html, *layout.plain)}
    layout.attached = [part for part in root.leaves() if part.number not in shown]
    return layout


def _lay(
    parts: Sequence[Part], among: str, alternative: bool, html: list[Part] | None, plain: list[Part] | None
) -> None:
    """Sort the parts of a multipart, which may be (in) an alternative. A list that is None is for others."""
    best = {part.type: part for part in parts} if among == "alternative" else {}
    html_before, plain_before = len(html or ()), len(plain or ())
    for index, part in enumerate(parts):
        if part.kind == "multipart":
            subtype = part.type.partition("/")[2]
            _lay(part.children, subtype, alternative or subtype == "alternative", html, plain)
        elif among == "alternative":
            # Of several of a kind the last is the best, as its author says by the order.
            into = {HTML: html, PLAIN: plain}.get(part.type)
            if into is not None and best[part.type] is part and _is_inline(part, index, among):
                into.append(part)
        elif _is_inline(part, index, among):
            if alternative and html is not None and plain is not None:
                # The first text says which alternative all of these are.
                html, plain = (html, None) if part.type == HTML else (None, plain)
            for texts in (html, plain):
                if texts is not None:
                    texts.append(part)
    if among == "alternative" and html is not None and plain is not None:
        # Where there is but one kind, it is for everybody.
        only_html, only_plain = html[html_before:], plain[plain_before:]
        html += [] if only_html else only_plain
        plain += [] if only_plain else only_html


def _is_inline(part: Part, index: int, among: str) -> bool:
    """Whether it is a text of the mail itself. A file that came along has a name, or its author says `attachment`."""
    if part.disposition == "attachment" or part.kind != "text":
        return False
    if index == 0:
        return True
    if among == "related" or part.type not in (HTML, PLAIN):
        return False
    return not part.name or (part.type == PLAIN and part.disposition == "inline")
