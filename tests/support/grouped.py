"""Gateways in groups, and clients that are led to theirs by the session, through what a proxy does with the path."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from tests.support.metrics import Scrape
from tests.support.processes import Tidings
from tests.support.roaming import TOKEN, Roamer, Roamers, is_ready
from tests.support.waiting import patient
from tidings.gateway.codecs.jmap import WEBSOCKET

SHARDS = 16
SECONDS = 20.0


class Led(Roamers):
    """Clients that ask a session where to connect, each time.

    `ports` are all gateways, `behind` those that a proxy sends each group to. What no group has goes to any.
    """

    def __init__(self, count: int, ports: Sequence[int], behind: Mapping[str, Sequence[int]]) -> None:
        super().__init__(count, ports)
        self.behind = behind
        self._http = httpx2.Client(timeout=patient(SECONDS))

    def stop(self) -> None:
        super().stop()
        self._http.close()

    def way(self, client: Roamer) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{random.choice(self.ports)}/.well-known/jmap"
            answer = self._http.get(url, params={"account": client.account}).raise_for_status()
        except httpx2.HTTPError as error:
            raise ConnectionError(str(error)) from error
        path = urlsplit(answer.json()["capabilities"][WEBSOCKET]["url"]).path
        group = path.removesuffix("/jmap/ws")
        return random.choice(self.behind.get(group, self.ports)), path


class Grouped:
    """Gateways by group, and their publisher."""

    def __init__(self, bus: str, state_dir: Path) -> None:
        self._log = ("--bus", bus, "--shards", str(SHARDS))
        self._started: list[Tidings] = []
        self.groups: list[list[Tidings]] = []
        env = {"TIDINGS_INGEST_TOKENS": TOKEN}
        self.publisher = self._launch("publisher", "--state-dir", str(state_dir), env=env)

    def _launch(self, command: str, *flags: str, env: Mapping[str, str] | None = None) -> Tidings:
        started = Tidings(command, *self._log, *flags, env=env)
        self._started.append(started)
        return started

    def start(self, groups: int, each: int) -> list[list[Tidings]]:
        """Gateways of so many groups, beside those that there are; returns once they and the publisher are ready."""
        flags = ("--groups", str(groups), "--coalesce-ms", "0", "--drain-delay-seconds", str(patient(0.5)))
        started = [[self._launch("gateway", *flags) for _ in range(each)] for _ in range(groups)]
        for process in (self.publisher, *(gateway for group in started for gateway in group)):
            process.wait_started()
            process.wait_connected()
        self.groups += started
        return started

    @property
    def gateways(self) -> list[Tidings]:
        """All of them."""
        return [gateway for group in self.groups for gateway in group]

    def stop(self) -> None:
        """End all of it, and wait for that."""
        running = [each for each in self._started if each.process.returncode is None]
        for each in running:
            each.process.send_signal(signal.SIGTERM)
        for each in running:
            each.stop()


def ports(gateways: Sequence[Tidings]) -> tuple[int, ...]:
    """Where clients connect."""
    return tuple(gateway.ports["gateway"] for gateway in gateways)


def behind(groups: Sequence[Sequence[Tidings]]) -> dict[str, Sequence[int]]:
    """Where a proxy sends the path of each group."""
    return {f"/g/{number}": ports(group) for number, group in enumerate(groups)}


def scraped(gateway: Tidings) -> Scrape:
    """A gateway's metrics."""
    return Scrape(httpx2.get(gateway.url("probe", "/metrics"), timeout=patient(SECONDS)).text)


def shards_read(gateway: Tidings) -> set[int]:
    """The shards that a gateway has feeds of."""
    return {int(shard) for shard in scraped(gateway).by("tidings_feed_silence_seconds", "shard")}


def send_away(gateway: Tidings) -> None:
    """Stop a gateway as a rollout does, and wait for its end."""
    gateway.process.send_signal(signal.SIGTERM)
    gateway.wait(lambda: not is_ready(gateway))
    gateway.process.wait(patient(SECONDS))
    gateway.stop()


@contextmanager
def grouped(bus: str, state_dir: Path) -> Iterator[Grouped]:
    """An installation without gateways, which ends with all that it is given."""
    running = Grouped(bus, state_dir)
    try:
        yield running
    finally:
        running.stop()
