"""The watch over memory: when it has things given up, and what counts against which limit."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from tidings.ops.budget import Budget, Level
from tidings.ops.pressure import Allowance, MemoryWatch, allowance


class Holder:
    def __init__(self, held: int) -> None:
        self.held = held

    def give_up(self, size: int) -> int:
        given_up = min(self.held, size)
        self.held -= given_up
        return given_up


def watch(used: list[int], processes: int = 1) -> tuple[Budget, MemoryWatch, CollectorRegistry]:
    registry, budget = CollectorRegistry(), Budget(10_000)
    return budget, MemoryWatch(registry, budget, Allowance(1_000, lambda: used[0], processes)), registry


def test_nothing_is_given_up_before_it_is_critical() -> None:
    used, holder = [850], Holder(1_000)
    budget, memory, _ = watch(used)
    memory.relief.append(holder.give_up)
    memory.look()
    assert budget.level is Level.TIGHT
    assert holder.held == 1_000


def test_holders_give_up_in_their_order_no_more_than_is_too_much() -> None:
    used, first, second, third = [950], Holder(150), Holder(150), Holder(150)
    budget, memory, registry = watch(used)
    memory.relief += [first.give_up, second.give_up, third.give_up]
    memory.look()
    assert budget.level is Level.CRITICAL
    assert (first.held, second.held, third.held) == (0, 100, 150)
    assert b"tidings_memory_given_up_bytes_total 200.0" in generate_latest(registry)


def test_of_several_processes_each_gives_up_its_part() -> None:
    used, holder = [950], Holder(1_000)
    _, memory, _ = watch(used, processes=4)
    memory.relief.append(holder.give_up)
    memory.look()
    assert holder.held == 950


def test_each_change_of_the_level_is_logged_once() -> None:
    used = [100]
    _, memory, _ = watch(used)
    with capture_logs() as logs:
        for used[0] in (100, 820, 830, 950, 950, 100, 100):
            memory.look()
    assert [(line["log_level"], line["level"]) for line in logs] == [
        ("warning", "tight"),
        ("warning", "critical"),
        ("info", "calm"),
    ]


def test_what_is_held_is_told_by_kind() -> None:
    budget, _, registry = watch([100])
    heads = budget.account("heads", 0.001)
    assert heads.take(7)
    assert not heads.take(7)
    text = generate_latest(registry).decode()
    assert 'tidings_held_bytes{kind="heads"} 7.0' in text
    assert 'tidings_held_refusals_total{kind="heads"} 1.0' in text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:       4096 kB\nMemFree:        1024 kB\n")
    (proc / "self" / "statm").write_text("900 100 20 0 0 0 0\n")
    (proc / "self" / "cgroup").write_text("0::/\n")
    return tmp_path


def test_a_container_counts_whole_without_cache_that_can_be_dropped(root: Path) -> None:
    cgroup = root / "sys/fs/cgroup"
    cgroup.mkdir(parents=True)
    (cgroup / "memory.current").write_text("3000\n")
    (cgroup / "memory.max").write_text("8000\n")
    (cgroup / "memory.stat").write_text("anon 2000\ninactive_file 500\n")
    allowed = allowance(0, 3, root)
    assert (allowed.limit, allowed.used(), allowed.processes) == (8000, 2500, 3)


def test_without_a_container_it_is_this_process_s_share_of_the_machine(root: Path) -> None:
    allowed = allowance(0, 2, root)
    assert (allowed.limit, allowed.processes) == (2048 * 1024, 1)
    assert allowed.used() > 0


def test_a_limit_that_is_set_is_shared_by_the_processes(root: Path) -> None:
    assert allowance(1_000_000, 4, root).limit == 250_000


def test_what_cannot_be_read_is_read_the_next_time() -> None:
    readings = iter([950, None, 100])

    def used() -> int:
        reading = next(readings)
        if reading is None:
            raise OSError(24, "Too many open files")
        return reading

    budget = Budget(10_000)
    memory = MemoryWatch(CollectorRegistry(), budget, Allowance(1_000, used, 1))
    levels = []
    for _ in range(3):
        memory.look()
        levels.append(budget.level)
    assert levels == [Level.CRITICAL, Level.CRITICAL, Level.CALM]
