from __future__ import annotations

import re

from scripts.api_documents import document
from tidings.publisher.ingest.docs_page import page


def test_each_operation_has_its_bodies_answers_and_examples() -> None:
    made = document()
    shown = page(made)
    for path, item in made["paths"].items():
        for method, operation in item.items():
            section = shown.partition(f"<code>{method.upper()} {path}</code>")[2].partition("</section>")[0]
            for media_type, content in operation["requestBody"]["content"].items():
                assert f"<code>{media_type}</code>" in section
                assert section.count("Example: ") >= len(content["examples"])
            for status in operation["responses"]:
                assert f"<th scope=row>{status}<td>" in section


def test_each_schema_is_shown_and_linked() -> None:
    made = document()
    shown = page(made)
    for name in made["components"]["schemas"]:
        assert f"<h3 id={name}>" in shown
    assert set(re.findall(r"<a href=#(\w+)>", shown)) <= set(made["components"]["schemas"])


def test_what_a_document_says_is_no_markup() -> None:
    made = document()
    made["info"]["description"] = "<script>alert(1)</script> & more"
    made["paths"]["/v1/resync"]["post"]["description"] = "<b> with `--flag <c>` and more"
    shown = page(made)
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in shown
    assert "&lt;b&gt; with <code>--flag &lt;c&gt;</code> and more" in shown
