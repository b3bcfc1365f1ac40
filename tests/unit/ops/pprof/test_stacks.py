from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from tidings.ops.pprof.profile import Frame
from tidings.ops.pprof.stacks import CUT, MAX_FRAMES, Modules, Symbols


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("/src/package/module.py", "package.module"),
        ("/src/package/__init__.py", "package"),
        ("/src/lib/other/a.py", "other.a"),
        ("/elsewhere/script.py", "script"),
        ("/elsewhere/bin/tool", "tool"),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
        ("<string>", "string"),
    ],
)
def test_modules_are_called_as_they_are_imported(file: str, module: str) -> None:
    modules = Modules(["", "/src", "/src/lib/"])
    assert modules.of(file) == modules.of(file) == module


def here() -> FrameType:
    return sys._getframe()


def test_a_stack_has_its_functions_and_lines() -> None:
    stack = Symbols().stack(here())
    first = here.__code__.co_firstlineno
    assert stack[0] == Frame(f"{__name__}.here", __file__, first, first + 1)
    assert stack[1].function == f"{__name__}.test_a_stack_has_its_functions_and_lines"


def deep(frames: int, then: Callable[[], FrameType]) -> FrameType:
    return deep(frames - 1, then) if frames else then()


def test_a_deep_stack_loses_its_outermost_frames() -> None:
    stack = Symbols().stack(deep(MAX_FRAMES, here))
    assert len(stack) == MAX_FRAMES + 1
    assert stack[-1] == CUT
    assert stack[0].function.endswith(".here")


def test_no_frame_is_no_stack() -> None:
    assert Symbols().stack(None) == ()
