"""Trees of parts are written as (type, child, ...). A leaf may have a name and a disposition: "text/plain a inline"."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.webmail.mail.layout import layout_of
from tidings.webmail.mail.parts import Part

Tree = Any


def part_of(tree: Tree, numbers: list[int]) -> Part:
    spec, *children = (tree,) if isinstance(tree, str) else tree
    kind, name, disposition, *_ = f"{spec}   ".split(" ")
    numbers.append(len(numbers))
    part = Part(numbers[-1], kind, None, disposition, name, "", False, False, 0, 0)
    part.children = [part_of(child, numbers) for child in children]
    return part


def laid(tree: Tree) -> tuple[str, str, str]:
    """The numbers of the parts: for who shows HTML, for who does not, attached."""
    layout = layout_of(part_of(tree, []))
    html, plain, attached = (
        "".join(str(part.number) for part in parts) for parts in (layout.html, layout.plain, layout.attached)
    )
    return html, plain, attached


MIXED, ALTERNATIVE, RELATED = "multipart/mixed", "multipart/alternative", "multipart/related"
PLAIN, HTML, PNG, PDF, MAIL = "text/plain", "text/html", "image/png", "application/pdf", "message/rfc822"


@pytest.mark.parametrize(
    ("tree", "laid_out"),
    [
        (PLAIN, ("0", "0", "")),
        (HTML, ("0", "0", "")),
        ("text/markdown", ("0", "0", "")),
        (PDF, ("", "", "0")),
        ("text/html x.html attachment", ("", "", "0")),
        ((ALTERNATIVE, PLAIN, HTML), ("2", "1", "")),
        ((ALTERNATIVE, HTML, PLAIN), ("1", "2", "")),
        ((ALTERNATIVE, PLAIN), ("1", "1", "")),
        ((ALTERNATIVE, HTML), ("1", "1", "")),
        ((ALTERNATIVE, PLAIN, HTML, "text/calendar"), ("2", "1", "3")),
        ((ALTERNATIVE, PLAIN, "text/x-amp-html", HTML), ("3", "1", "2")),
        # The last is the best; what is not is there to be looked at.
        ((ALTERNATIVE, HTML, PLAIN, HTML), ("3", "2", "1")),
        ((MIXED, PLAIN, HTML), ("12", "12", "")),
        ((MIXED, PLAIN, PNG, PLAIN), ("13", "13", "2")),
        ((MIXED, PLAIN, "text/html report.html inline"), ("1", "1", "2")),
        ((MIXED, PLAIN, "text/plain a.patch inline"), ("12", "12", "")),
        ((MIXED, PLAIN, "text/plain a.txt"), ("1", "1", "2")),
        ((MIXED, PLAIN, "text/plain  attachment"), ("1", "1", "2")),
        ((MIXED, PLAIN, "text/csv"), ("1", "1", "2")),
        ((MIXED, PLAIN, MAIL), ("1", "1", "2")),
        ((MIXED, (ALTERNATIVE, PLAIN, HTML), PDF, PLAIN), ("35", "25", "4")),
        ((MIXED, PLAIN, (ALTERNATIVE, PLAIN, HTML), (ALTERNATIVE, PLAIN, HTML)), ("147", "136", "")),
        ((RELATED, HTML, PNG, HTML), ("1", "1", "23")),
        ((ALTERNATIVE, PLAIN, (RELATED, HTML, PNG)), ("3", "1", "4")),
        # As Apple's program writes them.
        ((ALTERNATIVE, PLAIN, (MIXED, HTML, PDF, HTML)), ("35", "1", "4")),
        ((ALTERNATIVE, PLAIN, (MIXED, HTML, PDF, PLAIN)), ("35", "1", "4")),
        ((ALTERNATIVE, (MIXED, PLAIN, PDF, PLAIN), HTML), ("5", "24", "3")),
        # What is only for others is no part of these.
        ((ALTERNATIVE, PLAIN, (MIXED, HTML, (ALTERNATIVE, PLAIN, HTML))), ("36", "1", "5")),
        (("multipart/report", PLAIN, "message/delivery-status", MAIL), ("1", "1", "23")),
        (("multipart/signed", (MIXED, PLAIN), "application/pgp-signature"), ("2", "2", "3")),
        ((MIXED,), ("", "", "")),
    ],
)
def test_what_is_shown_and_what_is_attached(tree: Tree, laid_out: tuple[str, str, str]) -> None:
    assert laid(tree) == laid_out
