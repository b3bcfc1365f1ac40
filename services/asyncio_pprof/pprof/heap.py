"""What memory is allocated by: Python's own tracer, which knows every block, and costs accordingly.

It is off unless asked for, for good (from the start of the process) or for some seconds. Only what was allocated while
it was on is known. It does not count what is freed: what was ever allocated is therefore at least the sum of what was
seen to be added from one profile to the next.
"""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Final

from asyncio_pprof.pprof.profile import Frame, Kind, Labels, Profile, Stack
from asyncio_pprof.pprof.stacks import Modules

ON_DEMAND_FRAMES: Final = 16
OWN_FILES: Final = frozenset({__file__, tracemalloc.__file__})
OFF: Final = "the allocation tracer is off: start the process with it, or add seconds=N"


class Heap:
    """The tracer of this process, and what it has told."""

    def __init__(self, frames: int, modules: Modules) -> None:
        self._frames = frames
        self._functions = Functions(modules)
        self._lock = threading.Lock()
        self._held: dict[Stack, tuple[int, int]] = {}
        self._allocated: dict[Stack, tuple[int, int]] = {}

    @property
    def on(self) -> bool:
        """Whether it traces for good."""
        return self._frames > 0

    def install(self) -> None:
        """Trace from now on, when that was asked for."""
        if self._frames:
            tracemalloc.start(self._frames)

    def trace(self) -> bool:
        """Trace for a while; whether nobody else does already."""
        if tracemalloc.is_tracing():
            return False
        tracemalloc.start(ON_DEMAND_FRAMES)
        return True

    def trace_no_more(self) -> None:
        """Forget everything traced."""
        with self._lock:
            tracemalloc.stop()
            self._held.clear()
            self._allocated.clear()

    def profile(self, kind: Kind, *, collect: bool) -> Profile:
        """What is held, and what was allocated. It takes long, for all blocks are gone through: not in a loop."""
        if collect:
            gc.collect()
        now = time.time_ns()
        with self._lock:
            if not tracemalloc.is_tracing():
                return Profile(kind, {}, now, comments=(OFF,))
            held = self._now_held()
            for stack, (count, size) in held.items():
                before = self._held.get(stack, (0, 0))
                sums = self._allocated.get(stack, (0, 0))
                self._allocated[stack] = (sums[0] + max(0, count - before[0]), sums[1] + max(0, size - before[1]))
            self._held = held
            samples: dict[tuple[Stack, Labels], tuple[int, ...]] = {
                (stack, ()): (*sums, *held.get(stack, (0, 0))) for stack, sums in self._allocated.items()
            }
        return Profile(kind, samples, now)

    def _now_held(self) -> dict[Stack, tuple[int, int]]:
        # Snapshot.statistics compares tracebacks frame by frame, for every block. Within a snapshot equal ones are one
        # object, the innermost frame first.
        sums: dict[int, list[int]] = {}
        tracebacks: dict[int, tuple[tuple[str, int], ...]] = {}
        for _, size, traceback, _ in tracemalloc.take_snapshot().traces._traces:  # type: ignore[attr-defined]  # noqa: SLF001
            key = id(traceback)
            if key in sums:
                sums[key][0] += 1
                sums[key][1] += size
            else:
                sums[key], tracebacks[key] = [1, size], traceback
        held: dict[Stack, tuple[int, int]] = {}
        for key, traceback in tracebacks.items():
            stack = tuple(self._functions.at(file, line) for file, line in traceback)
            if not any(frame.file in OWN_FILES for frame in stack):
                count, size = held.get(stack, (0, 0))
                held[stack] = (count + sums[key][0], size + sums[key][1])
        return held


class Functions:
    """Which function a line belongs to: the tracer knows only the line."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._files: dict[str, dict[int, CodeType]] = {}
        self._frames: dict[tuple[str, int], Frame] = {}

    def at(self, file: str, line: int) -> Frame:
        """The frame for a line; for one that no source is found of, the file stands for the function."""
        known = self._frames.get((file, line))
        if known is None:
            if file not in self._files:
                self._files[file] = _code_by_line(file)
            code = self._files[file].get(line)
            module = self._modules.of(file)
            known = (
                Frame(f"{module}.{code.co_qualname}", file, code.co_firstlineno, line)
                if code
                else Frame(module, file, 0, line)
            )
            self._frames[file, line] = known
        return known


def _code_by_line(file: str) -> dict[int, CodeType]:
    """The innermost code object of each line of a source file; from its compiled form where there is one."""
    try:
        module = SourceFileLoader("", file).get_code("")
    except (OSError, ImportError, SyntaxError, ValueError):
        return {}
    by_line: dict[int, CodeType] = {}

    def note(code: CodeType) -> None:
        lines = {line for _, _, line in code.co_lines() if line}
        if len(lines) > 1 and code is not module:
            # What is allocated there is the function itself, by who defines it.
            lines.discard(code.co_firstlineno)
        by_line.update(dict.fromkeys(lines, code))
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                note(constant)

    if module is not None:
        note(module)
    return by_line
