from __future__ import annotations

from monitoring.alerts import all_alerts
from tidings.ops.admin.runbooks import page, runbooks, source


def test_every_alert_has_its_runbook() -> None:
    told = runbooks(source().read_text())
    assert list(told) == [alert.name for alert in all_alerts()]
    assert all(told.values())
    # The last one ends where its section does.
    assert "## " not in told["TidingsBrokerNodeDown"]


def test_a_text_without_runbooks_has_none() -> None:
    assert runbooks("# Operations\n\n## Other\n\n### Something\n") == {}


TEXT = """# Operations

## Alerts and runbooks

### TidingsOne

See [TidingsTwo](#tidingstwo),
or [the spool](#the-spool) & more.

```sh
curl <host>

ls
```

| a | b |
|---|---|

### TidingsTwo

Done.

## Next
"""


def test_a_page_of_them_has_blocks_and_links_to_others() -> None:
    one = (
        "<section><h2 id=tidingsone>TidingsOne</h2>"
        "<p class=words>See <a href=#tidingstwo>TidingsTwo</a>,\nor [the spool](#the-spool) &amp; more.</p>"
        "<pre class=wide>curl &lt;host&gt;\n\nls</pre><pre class=wide>| a | b |\n|---|---|</pre></section>"
    )
    assert page(TEXT) == f"{one}<section><h2 id=tidingstwo>TidingsTwo</h2><p class=words>Done.</p></section>"
