from __future__ import annotations

import pytest

from tidings.webmail.mail.gist import words_of


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("<p>Hello</p><p>there</p>", "Hello there"),
        ("<b>in</b>side &amp; &eacute;&#8211;", "inside & é–"),
        ("<style>p { color: red }</style>x<script>alert('<p>')</script >y", "xy"),
        ("<html><head><title>T</title></head><body>x", "x"),
        ("<!-- <p>no</p> -->x<!-- no end", "x"),
        ("x<style>no end", "x"),
        ("a < b<br/>c", "a < b c"),
        ("x<p no end", "x"),
        ("one<td>two</td><td>three", "one two three"),
    ],
)
def test_what_a_reader_would_see(document: str, words: str) -> None:
    assert " ".join(words_of(document).split()) == words
