from __future__ import annotations

import json
from types import TracebackType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.ops.tracebacks import MAX_BYTES, ExcInfo, kind, rendered, shortened


def raised(text: str, depth: int = 0, *, secret: str = "") -> tuple[type[ValueError], ValueError, TracebackType | None]:
    def fail(left: int, hidden: str) -> None:
        if left:
            fail(left - 1, hidden)
        raise ValueError(text)

    try:
        fail(depth, secret)
    except ValueError as error:
        return type(error), error, error.__traceback__
    raise AssertionError


def size(text: str) -> int:
    return len(json.dumps(text)) - 2


def test_a_traceback_names_places_and_the_error_but_no_values() -> None:
    said = rendered(raised("it broke", 3, secret="hunter" + "2"))
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("\nValueError: it broke")
    assert 'test_tracebacks.py", line' in said
    assert "in fail\n" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "info",
    [
        raised("x" * 1_000_000),
        raised("line\n" * 100_000),
        raised("\0" * 10_000),
        raised("\N{PILE OF POO}" * 10_000),
        raised("deep", 900),
    ],
    ids=["long", "many lines", "control characters", "beyond the BMP", "deep"],
)
def test_a_traceback_is_bounded_and_has_the_error_and_its_place(info: ExcInfo) -> None:
    said = rendered(info)
    assert size(said) <= MAX_BYTES
    assert "ValueError" in said or "line\nline" in said
    assert "in raised" in said or "in fail" in said


def test_causes_and_groups_are_bounded_too() -> None:
    group = ExceptionGroup("many", [raised("y" * 5_000, 10)[1] for _ in range(100)])
    assert size(rendered((type(group), group, None))) <= MAX_BYTES
    error = raised("first")[1]
    for _ in range(100):
        following = raised("next")[1]
        following.__cause__ = error
        error = following
    said = rendered((type(error), error, error.__traceback__))
    assert size(said) <= MAX_BYTES
    assert said.endswith("ValueError: next")


@given(st.text(max_size=300), st.integers(60, 200))
def test_a_shortened_text_fits_and_keeps_both_ends(text: str, most: int) -> None:
    short = shortened(text, most)
    assert size(short) <= most
    if size(text) <= most:
        assert short == text
    else:
        head, tail = short.split(f" ... {len(text)} characters in all ... ")
        assert text.startswith(head)
        assert text.endswith(tail)


def test_a_fault_is_its_type_and_where_it_was_raised() -> None:
    first, again, deeper = (raised(text, depth)[1] for text, depth in (("a", 0), ("b", 0), ("c", 5)))
    assert kind(first) == kind(again) == kind(deeper)
    name, file, line = kind(first)
    assert (name, file) == ("ValueError", __file__)
    assert line > 0
    assert kind(ExceptionGroup("g", [ExceptionGroup("h", [first])])) == kind(first)
    assert kind(KeyError("never raised")) == ("KeyError", "", 0)
