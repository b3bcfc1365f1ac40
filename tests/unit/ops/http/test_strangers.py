from __future__ import annotations

from structlog.testing import capture_logs

from tidings.ops.http import strangers
from tidings.ops.http.strangers import Strangers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_origin_is_told_once_with_what_would_allow_it() -> None:
    told = Strangers()
    with capture_logs() as logs:
        for origin in ("https://mail.example", "https://other.example", "https://mail.example", "null"):
            told.refused(origin)
    assert [line["origin"] for line in logs] == ["https://mail.example", "https://other.example", "null"]
    assert all((line["event"], line["log_level"]) == ("origin refused", "warning") for line in logs)
    assert "--allow-origin https://mail.example" in logs[0]["allow"]
    assert "--allow-origin" not in logs[2]["allow"]


def test_what_moves_the_cursor_of_a_terminal_is_escaped() -> None:
    with capture_logs() as logs:
        Strangers().refused("https://a\x9b2J.example")
    assert logs[0]["origin"] == r"https://a\x9b2J.example"
    assert "\x9b" not in logs[0]["allow"]


def test_who_sends_many_origins_fills_neither_the_log_nor_memory() -> None:
    clock = Clock()
    told = Strangers(clock)
    with capture_logs() as logs:
        for number in range(10_000):
            told.refused(f"https://{number}.example")
    assert len(logs) == strangers.MAX_TOLD + 1
    assert logs[-1]["event"] == "more origins were refused than the log names"
    clock.now = strangers.TOLD_SECONDS
    with capture_logs() as logs:
        told.refused("https://mail.example")
        told.refused("https://mail.example")
    assert [line["origin"] for line in logs] == ["https://mail.example"]
