from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from types import FrameType

import pytest

from asyncio_pprof.pprof.profile import Frame
from asyncio_pprof.pprof.stacks import CUT, MAX_FRAMES, Modules, Symbols, frames_of, outward


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
        ("", "?"),
        ("/", "?"),
    ],
)
def test_modules_are_called_as_they_are_imported(file: str, module: str) -> None:
    modules = Modules(["", "/src", "/src/lib/"])
    assert modules.of(file) == modules.of(file) == module


def here() -> FrameType:
    return sys._getframe()


def test_a_stack_has_its_functions_and_lines() -> None:
    stack = Symbols().stack(outward(here()))
    first = here.__code__.co_firstlineno
    assert stack[0] == Frame(f"{__name__}.here", __file__, first, first + 1)
    assert stack[1].function == f"{__name__}.test_a_stack_has_its_functions_and_lines"


def deep(frames: int, then: Callable[[], FrameType]) -> FrameType:
    return deep(frames - 1, then) if frames else then()


def test_a_deep_stack_loses_its_outermost_frames() -> None:
    stack = Symbols().stack(outward(deep(MAX_FRAMES, here)))
    assert len(stack) == MAX_FRAMES + 1
    assert stack[-1] == CUT
    assert stack[0].function.endswith(".here")


def test_no_frame_is_no_stack() -> None:
    assert Symbols().stack(()) == ()


def test_the_frames_of_a_thread_are_those_it_is_in() -> None:
    mine = frames_of(threading.get_ident())
    assert mine[0].f_code is frames_of.__code__
    assert mine[1:] == outward(sys._getframe())[: MAX_FRAMES - 1]
    assert len(deep_frames(MAX_FRAMES)) == MAX_FRAMES
    assert frames_of(0) == []
    assert gc.isenabled()


def deep_frames(frames: int) -> list[FrameType]:
    return deep_frames(frames - 1) if frames else frames_of(threading.get_ident())


def test_a_thread_is_looked_at_while_its_coroutines_come_and_go() -> None:
    """Following a frame of a coroutine that was suspended since crashes the interpreter (3.11)."""
    ended = threading.Event()

    async def inner(depth: int) -> None:
        if depth:
            await inner(depth - 1)
        await asyncio.sleep(0)

    async def outer() -> None:
        while not ended.is_set():
            await asyncio.gather(*(inner(depth) for depth in range(20)))

    running = threading.Thread(target=lambda: asyncio.run(outer()))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    running.start()
    try:
        assert running.ident is not None
        symbols = Symbols()
        seen = [len(symbols.walk(frames_of(running.ident))) for _ in range(20_000)]
        assert max(seen) > 0
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        running.join()
