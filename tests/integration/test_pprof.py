"""Profiles of a service with known faults, opened by `go tool pprof`."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from asyncio_pprof.pprof.answers import MAX_SECONDS
from asyncio_pprof.pprof.stalls import BEAT_SECONDS
from tests.support.planted import BLOCK_BYTES, LEAKED, STALL_SECONDS, TASKS
from tests.support.pprof import Decoded, GoTool, decompressed
from tests.support.processes import Tidings, tidings
from tests.support.waiting import comes_true, patient

DEADLINE = 60.0
HERE = "tests.support.planted"


class Service:
    """The planted service and its admin port."""

    def __init__(self, process: Tidings) -> None:
        self.process = process
        self.client = httpx2.Client(base_url=process.url("admin"), timeout=patient(DEADLINE))

    def plant(self, fault: str) -> None:
        assert self.client.get(f"/plant/{fault}").text == "planted"

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(f"/debug/pprof/{path}")

    def profile(self, path: str) -> Decoded:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return decompressed(answer.content)

    def url(self, path: str) -> str:
        return self.process.url("admin", f"/debug/pprof/{path}")

    def save(self, path: str, to: Path) -> str:
        to.write_bytes(self.get(path).content)
        return str(to)


Planted = Callable[..., Service]


@pytest.fixture
def planted() -> Iterator[Planted]:
    running: list[tuple[object, Service]] = []

    def start(*flags: str) -> Service:
        context = tidings("planted", *flags, module="tests.support.planted")
        service = Service(context.__enter__())
        running.append((context, service))
        return service

    yield start
    for context, service in running:
        service.client.close()
        service.process.kill()
        context.__exit__(None, None, None)  # type: ignore[attr-defined]


@pytest.fixture
def go(tmp_path: Path) -> GoTool:
    return GoTool(tmp_path)


def test_what_burns_the_cpu_is_on_top(planted: Planted, go: GoTool) -> None:
    service = planted()
    service.plant("burn")
    printed = go.output("-top", service.url("profile?seconds=2"))
    assert "Type: cpu" in printed
    assert "File: tidings-planted" in printed
    rows = go.top("-sample_index=cpu", service.url("profile?seconds=2"))
    assert rows[0].name == f"{HERE}.burn_here"
    assert rows[0].flat_share > 50
    assert any(row.name == f"{HERE}.Planted._burning" and row.cum_share > 50 for row in rows)


def test_other_threads_are_charged_with_what_they_use(planted: Planted) -> None:
    service = planted()
    service.plant("burn_elsewhere")
    profile = service.profile("profile?seconds=2")
    burnt = sum(values[1] for (_, labels), values in profile.samples.items() if labels == (("thread", "burner"),))
    assert burnt > 0.5 * sum(values[1] for values in profile.samples.values())
    assert profile.top() == f"{HERE}.burn_here"
    assert profile.duration >= 2e9


def test_time_that_passes_in_waiting_is_in_wall(planted: Planted, go: GoTool) -> None:
    service = planted()
    service.plant("sleep_elsewhere")
    (row,) = [row for row in go.top(service.url("wall?seconds=2")) if row.name == f"{HERE}.sleep_here"]
    assert row.flat_share > 0
    (value,) = [
        values[1]
        for (_, labels), values in service.profile("wall?seconds=2").samples.items()
        if labels == (("thread", "sleeper"),)
    ]
    assert value > 1e9


def test_a_leak_is_found_by_comparing_two_heaps(planted: Planted, go: GoTool, tmp_path: Path) -> None:
    service = planted("--heap-profile", "16")
    before = service.save("heap?gc=1", tmp_path / "before")
    service.plant("leak")
    after = service.save("heap?gc=1", tmp_path / "after")
    rows = go.top("-sample_index=inuse_space", f"-base={before}", after)
    assert rows[0].name.startswith(f"{HERE}.leak_here")
    assert rows[0].flat_share > 90
    profile = service.profile("heap")
    held = sum(values[3] for (stack, _), values in profile.samples.items() if "leak_here" in stack[0][0])
    assert held >= LEAKED * BLOCK_BYTES
    assert "Type: inuse_space" in go.output("-top", after)
    assert "Type: alloc_space" in go.output("-top", service.url("allocs"))


def test_allocations_are_traced_for_some_seconds_on_demand(planted: Planted, go: GoTool) -> None:
    service = planted()
    off = service.profile("heap")
    assert off.samples == {}
    assert "tracer is off" in off.comments[0]
    service.plant("leak_on")
    rows = go.top(service.url("heap?seconds=2"))
    assert rows[0].name == f"{HERE}.leak_slowly"
    assert service.profile("heap").samples == {}


def test_what_keeps_the_loop_is_on_top(planted: Planted, go: GoTool, tmp_path: Path) -> None:
    service = planted()
    before = service.save("block", tmp_path / "before")
    service.plant("stall")
    after = service.save("block", tmp_path / "after")
    rows = go.top(f"-base={before}", after)
    assert rows[0].name == f"{HERE}.stall_here"
    profile = service.profile("block")
    delays = [values for (stack, _), values in profile.samples.items() if stack[0][0] == f"{HERE}.stall_here"]
    # The beat that did not come was up to one beat off, and the last part is added up to one beat later.
    assert sum(delay for _, delay in delays) >= (STALL_SECONDS - 2 * BEAT_SECONDS) * 1e9
    assert sum(count for count, _ in delays) == 1


def test_a_thousand_waiting_tasks_are_one_line(planted: Planted, go: GoTool) -> None:
    service = planted()
    service.plant("wait")

    def waiting() -> dict[str, tuple[int, ...]]:
        samples = service.profile("goroutine").samples.items()
        return {stack[0][0]: values for (stack, _), values in samples if stack[-1][0] == f"{HERE}.wait_here"}

    # Until each has had its first turn, some stand elsewhere.
    assert comes_true(lambda: waiting() == {"asyncio.tasks.sleep": (TASKS,)}, DEADLINE)
    rows = go.top(service.url("goroutine"))
    assert rows[0].name == "asyncio.tasks.sleep"
    assert any(row.name == f"{HERE}.wait_here" and row.cum_share > 90 for row in rows)
    assert f"{TASKS} @ 0x" in service.get("goroutine?debug=1").text
    assert service.get("goroutine?debug=2").text.count(f"\t{HERE}.wait_here ") == TASKS


def test_contended_locks_are_on_top(planted: Planted, go: GoTool) -> None:
    service = planted("--mutex-profile")
    service.plant("contend")
    assert comes_true(lambda: len(service.profile("mutex").samples) >= 2, DEADLINE)
    rows = go.top(service.url("mutex?seconds=2"))
    assert {f"{HERE}.contend_here", f"{HERE}.async_contend_here"} <= {row.name for row in rows[:4]}
    delays = [values[1] / values[0] for values in service.profile("mutex").samples.values()]
    assert max(delays) > 10e6


def test_waits_are_not_measured_unless_asked_for(planted: Planted) -> None:
    service = planted()
    service.plant("contend")
    profile = service.profile("mutex")
    assert profile.samples == {}
    assert "not measured" in profile.comments[0]


def test_a_stuck_loop_is_told_of_while_it_is_stuck(planted: Planted, go: GoTool) -> None:
    service = planted()
    service.plant("wait")
    service.plant("stuck")

    def stuck() -> bool:
        tops = {stack[0][0] for stack, _ in service.profile("block").samples}
        return f"{HERE}.stall_here" in tops

    assert service.client.get("/livez").status_code == 200
    assert comes_true(stuck, DEADLINE)
    assert f"\t{HERE}.stall_here " in service.get("goroutine?debug=2").text
    # The tasks are listed all the same.
    profile = service.profile("goroutine")
    assert max(values[0] for values in profile.samples.values()) == TASKS
    assert go.top(service.url("block"))
    wall = service.profile("wall?seconds=1")
    assert any(f"{HERE}.stall_here" == stack[0][0] for stack, _ in wall.samples)


def test_connections_and_threads_are_counted(planted: Planted, go: GoTool) -> None:
    service = planted()
    profile = service.profile("fd")
    named = {tuple(name for name, _, _ in stack): values for (stack, _), values in profile.samples.items()}
    assert named["parked", "odd", "client", "socket"] == (7,)
    assert any(names == ("[eventpoll]",) for names in named)
    assert any(row.name == "odd" and row.flat_share == 0 for row in go.top(service.url("fd")))
    starts = service.profile("threadcreate")
    assert any(stack[0][0] == "tidings.ops.admin.listeners.OpsListeners.start" for stack, _ in starts.samples)


@pytest.mark.parametrize(
    ("path", "types", "period"),
    [
        ("profile?seconds=1", "samples/count cpu/nanoseconds", ("cpu", "nanoseconds", 10_000_000)),
        ("wall?seconds=1", "samples/count wall/nanoseconds", ("wall", "nanoseconds", 10_000_000)),
        (
            "heap",
            "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes",
            ("space", "bytes", 1),
        ),
        (
            "allocs",
            "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes",
            ("space", "bytes", 1),
        ),
        ("goroutine", "goroutine/count", ("goroutine", "count", 1)),
        ("block", "contentions/count delay/nanoseconds", ("contentions", "count", 1)),
        ("mutex", "contentions/count delay/nanoseconds", ("contentions", "count", 1)),
        ("threadcreate", "threadcreate/count", ("threadcreate", "count", 1)),
        ("fd", "fd/count", ("fd", "count", 1)),
        ("goroutine?seconds=1", "goroutine/count", ("goroutine", "count", 1)),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--heap-profile", "4", "--mutex-profile")], ids=["off", "on"])
def test_every_profile_is_what_its_readers_want(
    planted: Planted, path: str, types: str, period: tuple[str, str, int], flags: tuple[str, ...]
) -> None:
    service = planted(*flags)
    answer = service.get(path)
    name, _, delta = path.partition("?")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    kept = f"{name}-delta" if delta and name not in ("profile", "wall") else name
    assert answer.headers["content-disposition"] == f'attachment; filename="{kept}"'
    profile = decompressed(answer.content)
    assert " ".join("/".join(value) for value in profile.types) == types
    assert profile.period == period
    assert abs(profile.time / 1e9 - time.time()) < DEADLINE
    text = service.get(f"{name}?debug=1") if name not in ("profile", "wall") else None
    if text is not None:
        assert text.headers["content-type"].startswith("text/plain")
        assert text.text.startswith(f"{name} profile: total ")


def test_a_location_has_the_same_address_in_every_process(planted: Planted) -> None:
    first, second = (planted().profile("goroutine").addresses for _ in range(2))
    common = first.keys() & second.keys()
    assert len(common) > 10
    assert all(first[place] == second[place] for place in common)


def test_bad_requests_are_refused_as_in_go(planted: Planted) -> None:
    service = planted()
    for path, status, text in (
        ("heap?seconds=x", 400, 'invalid value for "seconds" - must be a positive integer'),
        ("heap?seconds=0", 400, 'invalid value for "seconds" - must be a positive integer'),
        ("profile?seconds=-1", 400, 'invalid value for "seconds" - must be a positive integer'),
        ("profile?seconds=241", 400, 'invalid value for "seconds" - must be at most 240'),
        ("heap?debug=y", 400, 'invalid value for "debug" - must be a whole number'),
        ("heap?seconds=1&debug=1", 400, "seconds and debug params are incompatible"),
        ("nothing", 404, "Unknown profile"),
        ("trace", 501, "Python has no execution tracer"),
    ):
        answer = service.get(path)
        assert (answer.status_code, answer.headers["x-go-pprof"]) == (status, "1")
        assert answer.text.startswith(text)
        assert answer.headers["content-type"].startswith("text/plain")
        assert "content-disposition" not in answer.headers
    assert service.client.post("/debug/pprof/symbol").status_code == 403


@pytest.mark.parametrize("name", ["profile", "wall", "heap"])
def test_a_second_profile_at_once_is_refused(planted: Planted, name: str) -> None:
    service = planted()
    with ThreadPoolExecutor(2) as both:
        answers = list(
            both.map(lambda _: httpx2.get(service.url(f"{name}?seconds=3"), timeout=patient(DEADLINE)), range(2))
        )
    refused, taken = sorted(answers, key=lambda answer: -answer.status_code)
    assert (refused.status_code, taken.status_code) == (500, 200)
    assert refused.headers["x-go-pprof"] == "1"
    assert refused.text.startswith("Could not enable")
    assert refused.text.endswith("profiling already in use\n")
    assert service.get(f"{name}?seconds=1").status_code == 200


def test_who_hangs_up_does_not_keep_others_from_profiling(planted: Planted) -> None:
    service = planted()
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(service.url(f"profile?seconds={MAX_SECONDS}"), timeout=0.5)
    began = time.monotonic()
    assert comes_true(lambda: service.get("profile?seconds=1").status_code == 200, DEADLINE)
    assert time.monotonic() - began < MAX_SECONDS / 2


def test_the_command_line_hides_secrets_and_symbols_are_known(planted: Planted) -> None:
    service = planted()
    shown = service.get("cmdline").text.split("\0")
    assert shown[1:4] == ["-m", "tests.support.planted", "planted"]
    place, address = next(iter(service.profile("goroutine").addresses.items()))
    assert service.get(f"symbol?{address:#x}+0x1").text == f"num_symbols: 1\n{address:#x} {place[0]}\n"
    asked = service.client.post("/debug/pprof/symbol", content=f"{address:#x}", headers={"X-Requested-With": "pprof"})
    assert asked.text == f"num_symbols: 1\n{address:#x} {place[0]}\n"


def test_nothing_of_it_is_on_the_probe_port(planted: Planted) -> None:
    service = planted()
    for path in ("/debug/pprof/", "/debug/pprof/heap", "/debug/flame/"):
        assert httpx2.get(service.process.url("probe", path)).status_code == 404


def test_the_index_says_what_each_costs(planted: Planted) -> None:
    page = planted().get("")
    for name in ("profile", "wall", "heap", "allocs", "goroutine", "block", "mutex", "threadcreate", "fd", "cmdline"):
        assert f'<a href="{name}">' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_gateways_connections_by_wire_format_and_state(tmp_path: Path) -> None:
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
    with tidings("up", *flags) as program:
        port = program.ports["gateway"]

        def counts() -> dict[tuple[str, ...], int]:
            body = httpx2.get(program.url("admin", "/debug/pprof/fd"), timeout=patient(DEADLINE)).content
            samples = decompressed(body).samples.items()
            return {tuple(name for name, _, _ in reversed(stack)): values[0] for (stack, _), values in samples}

        with (
            connect(f"ws://127.0.0.1:{port}/jmap/ws?account=alice", subprotocols=[Subprotocol("jmap")]) as client,
            socket.create_connection(("127.0.0.1", port)),
            httpx2.stream(
                "GET", f"http://127.0.0.1:{port}/jmap/eventsource?types=*&closeafter=no&ping=0&account=alice"
            ),
        ):
            client_of = ("socket", "client")
            assert comes_true(lambda: counts().get((*client_of, "websocket", "not subscribed")) == 1, DEADLINE)
            client.send(json.dumps({"@type": "WebSocketPushEnable", "dataTypes": None}))
            assert comes_true(lambda: counts().get((*client_of, "websocket", "subscribed")) == 1, DEADLINE)
            assert counts()[(*client_of, "eventsource", "subscribed")] == 1
            assert counts()[(*client_of, "head")] == 1
