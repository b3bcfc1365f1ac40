"""What is committed is what the source makes."""

from __future__ import annotations

from monitoring.__main__ import FILES, generated


def test_committed_files_are_what_make_dashboards_writes() -> None:
    committed = {
        str(path.relative_to(FILES)): path.read_text()
        for path in (*FILES.glob("dashboards/*.json"), *FILES.glob("*.yaml"))
    }
    assert committed == generated(), "run: make dashboards"
