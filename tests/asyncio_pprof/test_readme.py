"""What the README shows is what it says: its programs run, its commands find what they are said to find."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.example import COMMANDS, GUARD, PACKAGE, SHOP, WORKER, buying, running, shop
from tests.support.ports import free_ports
from tests.support.pprof import GoTool, decompressed
from tests.support.waiting import comes_true, patient

PROFILE_SECONDS = 30.0
HANG_UP_SECONDS = 5.0
GROW_SECONDS = 30.0
BUY_SECONDS = 20.0
HTML = {"Accept": "text/html"}
SERVICES = {"PYTHONPATH": str(PACKAGE.parent)}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with shop(tmp_path_factory.mktemp("shop"), env=SERVICES) as address, buying(address):
        yield address


def get(url: str, **headers: str) -> httpx2.Response:
    answer = httpx2.get(url, headers=headers, timeout=patient(PROFILE_SECONDS))
    assert answer.status_code == 200, answer.text
    return answer


def command(number: int, address: str) -> list[str]:
    """Arguments of a command, at the address where the program is."""
    return shlex.split(COMMANDS[number].replace("http://127.0.0.1:8000", address))[3:]


def test_the_command_for_cpu_time_has_what_uses_it_on_top(address: str, tmp_path: Path) -> None:
    arguments = command(0, address)
    assert arguments[0] == "-top"
    printed = GoTool(tmp_path).sampled(*arguments)
    assert "File: shop\nType: cpu\n" in printed
    lines = printed.splitlines()
    first = next(number for number, line in enumerate(lines) if line.split()[:2] == ["flat", "flat%"]) + 1
    assert "shop.price" in [line.split()[-1] for line in lines[first : first + 3]]


def test_the_command_for_the_heap_has_what_stays(address: str, tmp_path: Path) -> None:
    go = GoTool(tmp_path)

    def baskets_are_most_of_it() -> bool:
        first, second, *_ = go.top("-sample_index=inuse_space", *command(1, address))
        return first.name.startswith("shop.basket") and first.flat_share > 2 * second.flat_share

    # The profiler's own memory is in it, for the program holds that too: the lines of what the profiler has seen, which
    # are as many on a machine where little is bought. Only the baskets grow for as long as somebody buys.
    assert comes_true(baskets_are_most_of_it, GROW_SECONDS)


def test_a_profile_is_what_its_readers_want(address: str) -> None:
    def somebody_buys() -> bool:
        profile = decompressed(get(f"{address}/debug/pprof/goroutine").content)
        return any(name.startswith("shop.basket") for stack, _ in profile.samples for name, _, _ in stack)

    # Between two purchases nobody does.
    assert comes_true(somebody_buys, BUY_SECONDS)


def test_the_memory_page_has_the_growth(address: str) -> None:
    def growth() -> int:
        layers = {row["layer"]: row for row in get(f"{address}/debug/memory").json()["layers"]}
        grown: int = layers["pymalloc_used"]["growth_bytes"]
        return grown

    # It grows with every purchase; in between it shrinks by what is freed.
    assert comes_true(lambda: growth() > 0, BUY_SECONDS)
    before = growth()
    assert comes_true(lambda: growth() > before, BUY_SECONDS)
    page = get(f"{address}/debug/memory", **HTML).text
    assert "Resident (RSS)" in page
    assert "Python objects" in page


def test_the_index_leads_to_flame_graphs(address: str) -> None:
    index = get(f"{address}/debug/pprof/", **HTML).text
    assert 'href="../flame/#profileURL=..%2Fpprof%2Fprofile%3Fseconds%3D5&amp;title=profile"' in index
    assert "<title>speedscope</title>" in get(f"{address}/debug/flame/", **HTML).text


def test_requests_are_named_by_route_and_have_their_stages(address: str) -> None:
    def purchases() -> list[dict[str, Any]]:
        told = get(f"{address}/debug/requests").json()["requests"]
        traces = [trace for bucket in told["buckets"] for trace in bucket["latest"]]
        return [trace for trace in traces if trace["title"] == "GET /baskets/{number}"]

    assert comes_true(purchases, BUY_SECONDS)
    (bought, *_) = purchases()
    assert [stage["stage"] for stage in bought["stages"]] == ["filled", "answered 200"]


def test_who_hangs_up_ends_what_was_asked_for(address: str) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{address}/debug/pprof/wall?seconds=240", timeout=0.5)
    again = f"{address}/debug/pprof/wall?seconds=1"
    assert comes_true(lambda: httpx2.get(again, timeout=patient(PROFILE_SECONDS)).status_code == 200, HANG_UP_SECONDS)


def test_a_program_without_a_server_has_them_in_a_thread(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    assert "port=6060" in WORKER
    (tmp_path / "worker.py").write_text(WORKER.replace("port=6060", f"port={port}"))
    with running(tmp_path, "worker.py", port=port, env=SERVICES) as address:
        dump = get(f"{address}/debug/pprof/goroutine?debug=2").text
        assert "\t__main__.main " in dump or "\tworker.main " in dump
        assert get(f"{address}/debug/memory", **HTML).text.startswith("<!doctype html>")


def test_a_guard_of_the_programs_own_decides(tmp_path: Path) -> None:
    mounted = 'app.mount("/debug", profiling.app())\n'
    assert mounted in SHOP
    imports = "import secrets\n\nfrom starlette.responses import PlainTextResponse, Response\n\nTOKEN = 'x'\n"
    text = f"{SHOP.replace(mounted, '')}\n{imports}\n{GUARD}"
    with shop(tmp_path, text, sys.executable, SERVICES) as address:
        assert httpx2.get(f"{address}/debug/memory").status_code == 401
        assert httpx2.get(f"{address}/debug/memory", headers={"Authorization": "Bearer x"}).status_code == 200
