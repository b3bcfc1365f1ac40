from __future__ import annotations

from asyncio_pprof.pprof.index import Entry, page


def test_the_page_escapes_and_links_relatively() -> None:
    shown = page(
        "<tidings>",
        [
            Entry("heap", "what <is> held", "a lot", text="?debug=1", timed="seconds=5"),
            Entry("cmdline", "a", "b", graph=False),
        ],
        "less than & more",
    )
    assert "&lt;tidings&gt;" in shown
    assert "what &lt;is&gt; held" in shown
    assert "less than &amp; more" in shown
    assert 'href="heap"' in shown
    assert 'href="heap?debug=1"' in shown
    assert 'href="../flame/#profileURL=..%2Fpprof%2Fheap%3Fseconds%3D5&amp;title=heap"' in shown
    assert shown.count("flame graph</a>") == 1
    assert 'href="/' not in shown
