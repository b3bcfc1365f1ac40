from __future__ import annotations

import pytest

from tidings.webmail.mail.flowed import unwrapped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one \ntwo \nthree\nfour", "one two three\nfour"),
        ("> one \n> two\n>> three", "> one two\n>> three"),
        ("> one \nnot quoted", "> one \nnot quoted"),
        ("no end ", "no end "),
        ("text \n-- \nname", "text \n-- \nname"),
        (" >stuffed\n From here", ">stuffed\nFrom here"),
        ("\n \nx", "\n\nx"),
        ("", ""),
    ],
)
def test_paragraphs_are_made_of_their_lines(text: str, shown: str) -> None:
    assert unwrapped(text, delsp=False) == shown


def test_a_blank_that_was_put_in_goes() -> None:
    assert unwrapped("漢 \n字\n> a  \n> b", delsp=True) == "漢字\n> a b"
