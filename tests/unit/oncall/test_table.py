from __future__ import annotations

import pytest

from tidings.oncall.table import seconds, table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("A", "LONG"), [("wide cell", None), (1, "x")]) == "A          LONG\nwide cell\n1          x\n"


def test_what_would_move_the_cursor_of_a_terminal_is_escaped() -> None:
    assert table(("A",), [("a\x1b[2Jb\rc\u202e",)]) == "A\na\\x1b[2Jb\\rc\\u202e\n"


@pytest.mark.parametrize(("value", "shown"), [(None, None), (0.0123, "0.012 s"), (3.44, "3.4 s"), (119.6, "120 s")])
def test_time_spans_are_short(value: float | None, shown: str | None) -> None:
    assert seconds(value) == shown
