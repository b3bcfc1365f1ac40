from __future__ import annotations

import tomllib
from pathlib import Path

from monitoring.alerts import all_alerts
from tests.support.roots import REPOSITORY
from tidings.ops.admin import runbooks
from tidings.ops.admin.runbooks import page, read, source


def test_every_alert_has_its_runbook() -> None:
    told = read(source())
    assert list(told) == sorted(alert.name for alert in all_alerts())
    for name, text in told.items():
        assert text.startswith(f"# {name}\n\n")


def test_other_files_are_no_runbooks(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Runbooks\n")
    (tmp_path / "TidingsOne.md").write_text("# TidingsOne\n\nDone.\n")
    assert read(tmp_path) == {"TidingsOne": "# TidingsOne\n\nDone.\n"}


ONE = """# TidingsOne

## What to do

See **[TidingsTwo](TidingsTwo.md)**,
or [the spool](../operate/broker.md#the-spool) & more.

```sh
curl <host>

ls
```

- Stop `this`,
  now
- or that

1. First
2. Second

| Reason | What |
|---|---|
| `a` | See [TidingsTwo](TidingsTwo.md) |
"""


def test_a_page_of_them_has_an_index_blocks_and_links_to_others() -> None:
    index = "<ul class=words><li><a href=#tidingsone>TidingsOne</a><li><a href=#tidingstwo>TidingsTwo</a></ul>"
    one = (
        "<section><h2 id=tidingsone>TidingsOne</h2><h3>What to do</h3>"
        "<p class=words>See <b><a href=#tidingstwo>TidingsTwo</a></b>,\n"
        "or the spool (docs/operate/broker.md#the-spool) &amp; more.</p>"
        "<pre class=wide>curl &lt;host&gt;\n\nls</pre>"
        "<ul class=words><li>Stop <code>this</code>,\n  now<li>or that</ul>"
        "<ol class=words><li>First<li>Second</ol>"
        "<div class=wide><table class='text words-last'><thead><tr><th>Reason<th>What<tbody>"
        "<tr><td><code>a</code><td>See <a href=#tidingstwo>TidingsTwo</a></table></div></section>"
    )
    two = "<section><h2 id=tidingstwo>TidingsTwo</h2><p class=words>Done.</p></section>"
    assert page({"TidingsOne": ONE, "TidingsTwo": "# TidingsTwo\n\nDone.\n"}) == index + one + two


def test_an_installed_package_has_the_runbooks_where_they_are_looked_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    inside = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]["docs/runbooks"]
    assert REPOSITORY / "services" / inside == Path(runbooks.__file__).parent / "static" / "runbooks"
    assert "COPY docs/runbooks docs/runbooks\n" in (REPOSITORY / "docker" / "Dockerfile").read_text()
    assert "!docs/runbooks\n" in (REPOSITORY / ".dockerignore").read_text()
