from __future__ import annotations

from tidings.ops.http.problem_documents import problem_document


def test_a_document_says_what_is_wrong_and_what_its_writer_adds() -> None:
    assert problem_document(404, "no such account", problems=[]) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such account",
        "problems": [],
    }
