"""What there is to run, and where each stands: asyncio's tasks by their await chains, and threads.

`Task.get_stack` shows only the outermost frame. The rest hangs on `cr_await`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import chain
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Final
from weakref import WeakSet, ref

from asyncio_pprof.pprof.profile import Frame, Labels, Stack, synthetic
from asyncio_pprof.pprof.stacks import MAX_FRAMES, Symbols, frames_of

WRAPPERS: Final = frozenset({"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"})
NO_FRAME: Final = synthetic("[no frame]")


def all_tasks(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.Task[object]]:
    """The tasks of another thread's loop, whether that runs or is stuck.

    `asyncio.all_tasks` goes through them all at once, 100 ms or more for 100,000, and starts again when one is made
    meanwhile. The sets that it reads are copied at once by the interpreter, in 2 ms. Where they are none (Python 3.14),
    it does the like itself.
    """
    known: list[Iterable[object]] = []
    for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks"):
        tasks = getattr(asyncio.tasks, name, None)
        if isinstance(tasks, WeakSet):
            known.append(tasks.data.copy())  # type: ignore[attr-defined]
        elif isinstance(tasks, set):
            known.append(tasks.copy())
    for found in chain.from_iterable(known or [asyncio.all_tasks(loop)]):
        task = found() if isinstance(found, ref) else found
        if isinstance(task, asyncio.Task) and not task.done() and task.get_loop() is loop:
            yield task


def await_chain(task: asyncio.Task[object]) -> list[FrameType]:
    """The frames of a task, the innermost first. Of a running one, those that are not running."""
    chain: list[FrameType] = []
    awaited: object = task.get_coro()
    while awaited is not None and len(chain) < MAX_FRAMES:
        match awaited:
            case CoroutineType():
                frame, awaited = awaited.cr_frame, awaited.cr_await
            case GeneratorType():
                frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
            case AsyncGeneratorType():
                frame, awaited = awaited.ag_frame, awaited.ag_await
            case _:
                frame, awaited = None, _wrapped(awaited)
        if frame is not None:
            chain.append(frame)
    chain.reverse()
    return chain


def _wrapped(awaited: object) -> object:
    """What one of the interpreter's own wrappers is around, which it shows to nobody but the collector of garbage."""
    if type(awaited).__name__ in WRAPPERS:
        for inner in gc.get_referents(awaited):
            if isinstance(inner, CoroutineType | AsyncGeneratorType):
                return inner
    return None


def task_stack(symbols: Symbols, task: asyncio.Task[object]) -> Stack:
    """The stack of a task."""
    found: list[int] = []
    for frame in await_chain(task):
        found += symbols.note(frame)
    return symbols.name(tuple(found)) or (NO_FRAME,)


def thread_stacks(symbols: Symbols) -> Iterable[tuple[str, Stack]]:
    """Name and stack of each thread that runs Python."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident in sys._current_frames():  # noqa: SLF001 - documented, for profilers
        yield names.get(ident, f"thread {ident}"), symbols.stack(frames_of(ident))


def label(kind: str) -> Labels:
    """What tells tasks and threads apart."""
    return (("kind", kind),)


def described(title: str, stack: Stack) -> str:
    """One entry of a full dump."""
    lines = "".join(f"\t{_place(frame)}\n" for frame in stack)
    return f"{title}:\n{lines}\n"


def _place(frame: Frame) -> str:
    return f"{frame.function} {frame.file}:{frame.line}" if frame.file else frame.function
