"""The examples of asyncio-pprof's README, as programs that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.support.ports import free_ports
from tests.support.waiting import comes_true, patient

PACKAGE = Path(__file__).parents[2] / "services" / "asyncio_pprof"
README = (PACKAGE / "README.md").read_text()
SHOP, WORKER, GUARD = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^go tool pprof .*$", README, re.MULTILINE)
SERVE = ("-m", "uvicorn", "shop:app", "--no-access-log", "--port")
START_SECONDS = 30.0
BUYERS = 2


@contextmanager
def running(
    directory: Path, *arguments: str, port: int, python: str = sys.executable, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Python in this directory, once it answers on this port; yields its address. On failure tells what it said."""
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", python, *arguments],
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "it ended"
        try:
            return httpx2.get(f"{address}/debug/").status_code < 500
        except httpx2.TransportError:
            return False

    try:
        assert comes_true(answers, START_SECONDS)
        yield address
    except BaseException:
        sys.stdout.write(log.read_text()[-10_000:])
        raise
    finally:
        process.terminate()
        process.wait()


@contextmanager
def shop(
    directory: Path, text: str = SHOP, python: str = sys.executable, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The FastAPI program, served by uvicorn."""
    (directory / "shop.py").write_text(text)
    (port,) = free_ports(1)
    with running(directory, *SERVE, str(port), port=port, python=python, env=env) as address:
        yield address


@contextmanager
def buying(address: str) -> Iterator[None]:
    """Have baskets filled, inside of this."""
    ended = threading.Event()
    failures: list[Exception] = []

    def buy(number: int) -> None:
        try:
            with httpx2.Client(base_url=address, timeout=patient(START_SECONDS)) as client:
                while not ended.is_set():
                    client.get(f"/baskets/{number}").raise_for_status()
                    number += BUYERS
        except httpx2.HTTPError as error:
            failures.append(error)

    buyers: Sequence[threading.Thread] = [threading.Thread(target=buy, args=(each,)) for each in range(BUYERS)]
    for buyer in buyers:
        buyer.start()
    try:
        yield
    finally:
        ended.set()
        for buyer in buyers:
            buyer.join()
    assert failures == []
