from __future__ import annotations

from typing import Any

import pytest

from tidings.webmail.mail import parts
from tidings.webmail.mail.parts import MAX_BOUNDARY, MAX_DEPTH, MAX_PARTS, Part, structure_of
from tidings.webmail.mail.source import Bytes

MULTIPART = b"Content-Type: multipart/mixed; boundary=b\n\n"


def tree_of(raw: bytes) -> Any:
    """The mail as nested lists of what its parts hold."""

    def tree(part: Part) -> Any:
        if part.kind == "multipart":
            return [tree(child) for child in part.children]
        return raw[part.start : part.end]

    return tree(structure_of(Bytes(raw), 0, len(raw)).root)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_parts_are_what_is_between_the_boundaries(newline: bytes) -> None:
    raw = MULTIPART + b"preamble\n--b\n\none\n\n--b  \nX: y\n\n\n--b\n\n--b--\nepilogue\n--b\n\nno part\n"
    assert tree_of(raw.replace(b"\n", newline)) == [b"one" + newline, b"", b""]


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"--b\n\nx", [b"x"]),
        (b"--b\n\nx\n--b", [b"x", b""]),
        (b"--b\n\nx\n--b--", [b"x"]),
        (b"--b\n\nx\n--bc\n--b c\n--b-\n --b\n--B\n--b--c\n--b--", [b"x\n--bc\n--b c\n--b-\n --b\n--B\n--b--c"]),
        (b"no boundary\n", b"no boundary\n"),
        (b"--b--\n", b"--b--\n"),
        (b"", b""),
        (
            b"--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\nx\n--bb\n\ny\n--b\n\nz\n--b--",
            [[b"x", b"y"], b"z"],
        ),
        # What is within a part cannot end the multipart that the part is in, or begin in it.
        (b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--b\n\n--c\n\ny\n--b--", [[b"x"], b"--c\n\ny"]),
        (b"--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--", [b"", b"x"]),
        (b"--b\nContent-Type: message/rfc822\n\n" + MULTIPART + b"x\n--b--", [MULTIPART + b"x"]),
    ],
)
def test_boundaries_are_lines(body: bytes, tree: Any) -> None:
    assert tree_of(MULTIPART + body) == tree


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/report;",
        b"multipart/mixed; boundary=" + b"b" * (MAX_BOUNDARY + 1),
        b'multipart/mixed; boundary=""',
        b"multipart",
        b"",
        b"text",
        b"a/b/c",
    ],
)
def test_what_cannot_be_split_is_a_text(content_type: bytes) -> None:
    raw = b"Content-Type: " + content_type + b"\n\nx\n"
    root = structure_of(Bytes(raw), 0, len(raw)).root
    assert (root.type, raw[root.start : root.end]) == ("text/plain", b"x\n")


def test_a_part_says_what_it_is() -> None:
    raw = (
        b"Content-Type: Text/Plain; charset=utf-8; format=Flowed; delsp=Yes; name=other\n"
        b"Content-Transfer-Encoding: BASE64\nContent-Disposition: Attachment; filename=a.txt\n\nx"
    )
    root = structure_of(Bytes(raw), 0, len(raw)).root
    assert (root.type, root.kind, root.charset, root.encoding) == ("text/plain", "text", "utf-8", "base64")
    assert (root.disposition, root.name, root.flowed, root.delsp) == ("attachment", "a.txt", True, True)


def test_what_a_digest_holds_are_mails() -> None:
    raw = b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b--"
    assert [part.type for part in structure_of(Bytes(raw), 0, len(raw)).root.leaves()] == ["message/rfc822"]


@pytest.mark.parametrize("blanks", [b"\n", b"\r\n", b"\n" * 1000])
def test_blank_lines_before_a_mail_are_none_of_it(blanks: bytes) -> None:
    raw = blanks + b"Subject: x\n\ny"
    structure = structure_of(Bytes(raw), 0, len(raw))
    assert structure.head.get("subject") == b"x"
    assert raw[structure.root.start :] == b"y"


def test_a_mail_of_blank_lines_is_empty() -> None:
    structure = structure_of(Bytes(b"\n" * 10), 0, 10)
    assert (structure.root.start, structure.root.end) == (10, 10)


def nested(depth: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (number, number)
        for number in range(1000, 1000 + depth)
    )


@pytest.mark.parametrize(
    ("raw", "cut"),
    [
        (nested(MAX_DEPTH - 16) + b"\nx", False),
        (nested(MAX_DEPTH + 1) + b"\nx" + b"x" * 5000, True),
        (MULTIPART + b"--b\n\n" * (MAX_PARTS - 1), False),
        (MULTIPART + b"--b\n\n" * MAX_PARTS, True),
        (MULTIPART + (b"--b\nX: " + b"x" * 30_000 + b"\n\n\n") * 10, False),
        (MULTIPART + (b"--b\nX: " + b"x" * 30_000 + b"\n\n\n") * 20, True),
        (MULTIPART + b"--b\n\n" + b"\n--bx" * 9_000, False),
        (MULTIPART + b"--b\n\n" + b"\n--bx" * 11_000, True),
    ],
    ids=["nested", "nested deep", "parts", "many parts", "headers", "long headers", "lines", "many lines"],
)
def test_what_is_left_out_is_said(raw: bytes, cut: bool) -> None:
    assert structure_of(Bytes(raw), 0, len(raw)).cut is cut


def test_a_boundary_whose_line_does_not_end_is_none() -> None:
    assert tree_of(MULTIPART + b"--b\n\nx\n--b" + b" " * 5000 + b"\ny") == [b"x\n--b" + b" " * 5000 + b"\ny"]
    assert tree_of(MULTIPART + b"--b" + b" " * 5000 + b"\n--b\n\nx") == [b"x"]
    assert tree_of(MULTIPART + b"--b\n\nx\n--b" + b" " * (parts.TAIL - 20) + b"\n\ny") == [b"x", b"y"]
