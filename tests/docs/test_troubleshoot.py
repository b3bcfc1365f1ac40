"""docs/troubleshoot.md quotes what `tidings explain` prints: the quotes are what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.support.chart import TIDINGS, render
from tidings.commands.table import COMMANDS
from tidings.oncall import story
from tidings.oncall.answers import Answer

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshoot.md").read_text()
GATEWAY = "http://127.0.0.1:9090"


def told(connections: list[dict[str, Any]], **more: Any) -> str:
    """What is printed of a gateway's answer."""
    document = {"shard": 7, "feed": {"live": True}, "connections": connections, "history": [], "changes": [], **more}
    return story.report([Answer(GATEWAY, document)]).text


def test_the_story_of_the_page_is_one_that_is_printed() -> None:
    (shown,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    stamps = [line.split("  ")[0] for line in shown.splitlines()[1:]]
    connection = {"connection": "7f2d63403400", "format": "websocket", "state": "subscribed"}
    history = [
        {"at": stamps[0], "what": "fresh", "connection": "7f2d63403400"},
        {"at": stamps[2], "what": "pushed to 1", "connection": "7f2d63403400"},
    ]
    state = "edc9fe642d13ec88"
    changes = [{"at": stamps[1], "offset": 6, "changed": {"Email": state, "Mailbox": state}}]
    assert told([connection], history=history, changes=changes) == shown


def test_the_reasons_of_the_page_are_those_that_are_printed() -> None:
    states = ("not subscribed", "does not read", "waits to be resumed")
    stuck = [{"connection": state, "format": "websocket", "state": state} for state in states]
    printed = told(stuck, feed={"live": False}).partition("Not as it should be:\n")[2]
    reasons = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("| Reason |")[2], re.MULTILINE)
    assert len(reasons) == len(printed.splitlines()) == 4
    for reason in reasons:
        assert reason in printed


def test_the_commands_with_kube_are_those_that_the_page_names() -> None:
    named = re.findall(r"`(?:tidings )?(\w+)`", PAGE.partition("`--kube NAMESPACE` to ")[2].partition(":")[0])
    assert set(named) == {name for name, entry in COMMANDS.items() if "kube" in entry.load_settings().model_fields}


def test_the_ports_that_are_forwarded_are_those_of_the_services() -> None:
    forwarded = re.findall(r"^kubectl port-forward --namespace NAMESPACE service/(\S+) (\d+) &$", PAGE, re.MULTILINE)
    assert [name for name, _ in forwarded] == ["tidings-gateway", "tidings-publisher"]
    for name, port in forwarded:
        assert int(port) in [each["port"] for each in render(TIDINGS).get("Service", name)["spec"]["ports"]]
