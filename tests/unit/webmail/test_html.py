from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.webmail.html import DOCUMENT_POLICY, document

LOADING = ("base", "embed", "frame", "frameset", "iframe", "link", "meta", "object")
HEAD = document("")


class Names(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)


def names_in(html: str) -> list[str]:
    parser = Names()
    parser.feed(html)
    return parser.names


@pytest.mark.parametrize("name", LOADING)
@pytest.mark.parametrize("form", ["<{}>", "<{} src=x>", "<{}/src=x>", "<{}\nsrc=x>", "</{}>", "<<{}>", "<p <{}>"])
def test_elements_that_load_documents_lose_their_meaning(name: str, form: str) -> None:
    for spelled in (name, name.upper(), name.capitalize()):
        shown = document(form.format(spelled))[len(HEAD) :]
        assert name not in names_in(shown)
        assert f"x-{spelled}" in shown


def test_other_markup_stays_as_it_is() -> None:
    html = (
        '<p style="color:red">1 &lt; 2 <b>x</b><a href="https://example.org">link</a><img src="data:image/png;base64,">'
    )
    assert document(html) == HEAD + html


PIECES = ["<", "</", "ifr", "iframe", "ame", "LINK", "base", "x-", " ", ">", "\0"]


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_no_start_tag_of_theirs_remains(html: str) -> None:
    shown = document(html)[len(HEAD) :]
    assert not re.search(r"</?(base|embed|frame|iframe|link|meta|object)", shown, re.IGNORECASE)


def test_it_takes_linear_time() -> None:
    began = time.process_time()
    for piece in ("<div>", "<iframe", "<", "<x-"):
        document(piece * 200_000)
    assert time.process_time() - began < 3.0


def test_the_policy_allows_no_script_and_no_request() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in DOCUMENT_POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["form-action"] == rules["base-uri"] == "'none'"
    assert not {"script-src", "connect-src", "frame-src"} & rules.keys()
    assert set(rules["sandbox"].split()) == {"allow-popups", "allow-popups-to-escape-sandbox"}
