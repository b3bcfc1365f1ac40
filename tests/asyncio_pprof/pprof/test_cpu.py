"""The CPU sampler, in this process: its signals are for the main thread, which runs the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asyncio_pprof.pprof.cpu import CpuSampler, InUse

BURNT_SECONDS = 0.2


@pytest.fixture
def sampler() -> Iterator[CpuSampler]:
    before = signal.getsignal(signal.SIGPROF)
    sampler = CpuSampler()
    sampler.install()
    yield sampler
    signal.signal(signal.SIGPROF, before)


def burn(enough: Callable[[], bool] = lambda: True) -> None:
    """Use so much CPU time of the calling thread, and more until it is enough."""
    end = time.thread_time() + BURNT_SECONDS
    while time.thread_time() < end or not enough():
        pass


def seconds_of(sampler: CpuSampler, function: str) -> float:
    """What the profile that ends now has of a function."""
    found = sampler.stop().samples
    return sum(nanoseconds for (stack, _), (_, nanoseconds) in found.items() if function in str(stack)) / 1e9


def test_the_main_thread_is_in_its_profile(sampler: CpuSampler) -> None:
    sampler.start()
    burn()
    assert seconds_of(sampler, "test_cpu.burn") > BURNT_SECONDS / 2


def test_a_thread_that_was_there_is_in_it_while_the_main_thread_waits(sampler: CpuSampler) -> None:
    begun = threading.Event()

    def wait_and_burn() -> None:
        begun.wait()
        burn()

    thread = threading.Thread(target=wait_and_burn)
    thread.start()
    sampler.start()
    begun.set()
    thread.join()
    assert seconds_of(sampler, "test_cpu.burn") > BURNT_SECONDS / 2


def test_a_thread_that_begins_later_is_in_it(sampler: CpuSampler) -> None:
    sampler.start()
    over = threading.Event()
    thread = threading.Thread(target=burn, args=(over.is_set,))
    thread.start()
    burn()
    # One that ends before the main thread has used any CPU time is in no sample.
    over.set()
    thread.join()
    assert seconds_of(sampler, "test_cpu.burn") > BURNT_SECONDS * 1.5


def test_one_at_a_time_and_nothing_is_left_of_it(sampler: CpuSampler) -> None:
    before = Path("/proc/self/timers").read_text()
    sampler.start()
    with pytest.raises(InUse):
        sampler.start()
    assert Path("/proc/self/timers").read_text() != before
    sampler.stop()
    assert Path("/proc/self/timers").read_text() == before
    with pytest.raises(InUse):
        sampler.stop()


def test_without_a_handler_there_is_no_profile() -> None:
    with pytest.raises(InUse):
        CpuSampler().start()


_ENDS = """
from asyncio_pprof.pprof.cpu import CpuSampler
sampler = CpuSampler()
sampler.install()
sampler.start()
class Late:
    def __del__(self):
        sum(range(10_000_000))
late = Late()
"""


def test_a_process_that_ends_while_a_profile_is_taken_ends_well() -> None:
    assert subprocess.run([sys.executable, "-c", _ENDS], check=False).returncode == 0


def test_no_error_comes_out_of_the_signal_where_no_descriptor_is_free(
    sampler: CpuSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(_: str) -> list[str]:
        raise OSError(24, "Too many open files")

    sampler.start()
    thread = threading.Thread(target=burn)
    with monkeypatch.context() as shortage:
        shortage.setattr(os, "listdir", listed)
        thread.start()
        burn()
        thread.join()
    assert seconds_of(sampler, "test_cpu.burn") > BURNT_SECONDS / 2
