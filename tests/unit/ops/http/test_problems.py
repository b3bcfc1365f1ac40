from __future__ import annotations

import json

from tidings.ops.http.problems import problem_response


def test_an_error_is_a_problem_document_with_members_of_its_own() -> None:
    response = problem_response(429, "too many \ud800", {"Retry-After": "3"}, problems=[{"event": 0}])
    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "3"
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "too many \ud800",
        "problems": [{"event": 0}],
    }
