"""The admin process: one admin and one probe listener for all workers.

A process of its own, because the supervisor has to stay without threads and loops to be able to fork, and because
a scrape of many workers is work. It asks them when somebody asks it, and keeps nothing but the sums.
"""

from __future__ import annotations

import asyncio
import html
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tidings.ops.admin import runbooks
from tidings.ops.admin.dashboard import ASSETS, dashboard_page, process_facts
from tidings.ops.admin.guard import AdminAccess
from tidings.ops.admin.listeners import guarded, metrics_response, ops_server, readiness_response
from tidings.ops.admin.variables import variables
from tidings.ops.metrics import Merge
from tidings.ops.process.workers.board import Board
from tidings.ops.process.workers.forwarding import METHODS, Forwarding
from tidings.ops.process.workers.merging import Answer, Totals
from tidings.ops.process.workers.peers import Joined, Peers
from tidings.ops.troubles import Trouble, merged

NOT_RUNNING: Final = "not running"
NO_ANSWER: Final = "does not answer"


class Collected(Collector):
    """What has been collected already, as the exposition formats want it."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the admin process answers, and whom.

    `joined` are the service's own pages, `merges` say by name how gauges merge.
    """

    title: str
    access: AdminAccess
    joined: Joined
    merges: Mapping[str, Merge]


class AggregatedAdmin:
    """Answers for all workers, from the board and from what they tell."""

    def __init__(self, answers: Answers, board: Board, peers: Peers) -> None:
        self._title = answers.title
        self._board = board
        self._peers = peers
        self._access = answers.access
        self._joined = answers.joined
        self._totals = Totals(answers.merges)
        self._forwarding = Forwarding(board, peers)
        self._scraping = asyncio.Lock()

    def apps(self) -> dict[str, Starlette]:
        """The application of each listener."""
        common = [
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        own = [
            Route("/", self._index),
            *ASSETS,
            Route("/debug/vars", self._variables),
            runbooks.ROUTE,
            Route("/workers/", self._list),
            *(Route(path, page(self._peers)) for path, page in self._joined.items()),
            Route("/workers/{number:int}/{path:path}", self._forwarding, methods=METHODS),
        ]
        return {"admin": guarded([*own, *common], self._access), "probe": Starlette(routes=common)}

    async def _livez(self, request: Request) -> Response:
        stuck = self._board.stuck(time.monotonic())
        if not stuck:
            return JSONResponse({"status": "alive"})
        return JSONResponse({"status": "stuck", "detail": f"the main loop does not run: {', '.join(stuck)}"}, 503)

    async def _readyz(self, request: Request) -> Response:
        return readiness_response(*await self._ready())

    async def _ready(self) -> tuple[bool, dict[str, str]]:
        """Whether at least one worker is ready, and why those that are not are not."""
        answers = await self._peers.ask_all("/readyz")
        unready: dict[str, str] = {}
        for number, seat in self._board.workers.items():
            if number not in answers:
                unready[f"worker {number}"] = NO_ANSWER if seat.pid else NOT_RUNNING
                continue
            _, response = answers[number]
            if response.status_code != 200:
                # Its listener itself answers 503 when too much is asked of it at once.
                reasons: Mapping[str, str] = response.json().get("unready", {})
                told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
                unready[f"worker {number}"] = told or NO_ANSWER
        return len(unready) < len(self._board.workers), unready

    async def _metrics(self, request: Request) -> Response:
        return metrics_response(Collected(await self._collect()), request)

    async def _collect(self) -> list[Metric]:
        # One scrape after the other: older answers must not be added up after newer ones.
        async with self._scraping:
            told = await self._peers.ask_all("/metrics")
            answers = {
                number: Answer(pid, tuple(text_string_to_metric_families(response.text)))
                for number, (pid, response) in told.items()
                if response.status_code == 200
            }
            total = self._totals.merge(answers)
        return [*total, *self._own_metrics(answers)]

    async def _variables(self, request: Request) -> Response:
        """The sums as metrics, and by worker what each publishes beside them."""
        metrics = await self._collect()
        workers = await self._told()
        ready, unready = await self._ready()
        return JSONResponse(
            {
                "process": process_facts(self._title),
                "time": time.time(),
                "state": {
                    "alive": not self._board.stuck(time.monotonic()),
                    "ready": ready,
                    "unready": unready,
                    "troubles": [asdict(trouble) for trouble in _troubles(workers)],
                },
                "workers": {str(number): {"url": f"workers/{number}/", **each} for number, each in workers.items()},
                "metrics": variables(metrics),
            },
            headers={"Cache-Control": "no-store"},
        )

    async def _told(self) -> dict[int, dict[str, Any]]:
        """What each worker tells beside its metrics."""
        told = await self._peers.ask_all("/debug/vars?metrics=0")
        return {number: response.json() for number, (_, response) in told.items() if response.status_code == 200}

    def _own_metrics(self, answers: Mapping[int, Answer]) -> Iterator[Metric]:
        up = GaugeMetricFamily("tidings_worker_up", "1 if the worker answered this scrape", labels=["worker"])
        restarts = CounterMetricFamily(
            "tidings_worker_restarts", "Times that the worker was replaced", labels=["worker"]
        )
        silent = CounterMetricFamily(
            "tidings_worker_unanswered", "Questions that the worker did not answer in time", labels=["worker"]
        )
        age = GaugeMetricFamily(
            "tidings_worker_beat_age_seconds", "Time since the worker's main loop last ran", labels=["worker"]
        )
        now = time.monotonic()
        for number, seat in self._board.workers.items():
            labels = [str(number)]
            up.add_metric(labels, number in answers)
            restarts.add_metric(labels, seat.restarts)
            silent.add_metric(labels, self._peers.unanswered[number])
            if seat.pid:
                age.add_metric(labels, max(0.0, now - seat.beat))
        return iter((up, restarts, silent, age))

    async def _list(self, request: Request) -> Response:
        now = time.monotonic()
        return JSONResponse(
            [
                {
                    "worker": number,
                    "pid": seat.pid or None,
                    "restarts": seat.restarts,
                    "beat_age_seconds": round(now - seat.beat, 1) if seat.pid else None,
                    "url": f"/workers/{number}/",
                }
                for number, seat in self._board.workers.items()
            ]
        )

    async def _index(self, request: Request) -> Response:
        _, unready = await self._ready()
        rows = "".join(
            f'<tr><td><a href="workers/{number}/">{number}</a><td>{seat.pid or ""}<td>{seat.restarts}'
            f"<td>{html.escape(unready.get(f'worker {number}', 'ready'))}"
            for number, seat in self._board.workers.items()
        )
        workers = (
            "<section><h2>Workers</h2><table><thead><tr><th>Worker<th>Process<th>Restarts<th>State"
            f"<tbody>{rows}</table></section>"
        )
        count = len(self._board.workers)
        state = f"{count - len(unready)} of {count} workers ready"
        pages = ("debug/vars", "debug/runbooks", "metrics", "readyz", "livez", "workers/")
        return dashboard_page(self._title, state, pages, workers, _troubles(await self._told()))


def _troubles(workers: Mapping[int, Mapping[str, Any]]) -> list[Trouble]:
    """What is wrong, from what each worker tells of itself."""
    return merged(
        {
            f"worker {number}": [Trouble(**trouble) for trouble in told["state"]["troubles"]]
            for number, told in workers.items()
        }
    )


def administer(
    answers: Answers, sockets: Mapping[str, socket.socket], addresses: Mapping[int, str], board: Board, lifeline: int
) -> None:
    """Serve until the lifeline is cut: the supervisor does so once all workers have stopped."""
    # A terminal or an init system sends these to every process, while the workers' end is still to be watched.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        peers = Peers(board, addresses)
        apps = AggregatedAdmin(answers, board, peers).apps()
        servers = {name: ops_server(name, apps[name]) for name in sockets}

        def stop() -> None:
            loop.remove_reader(lifeline)
            for server in servers.values():
                server.end()

        loop.add_reader(lifeline, stop)
        await asyncio.gather(*(server.serve([sockets[name]]) for name, server in servers.items()))
        await peers.close()

    with asyncio.Runner() as runner:
        runner.run(serve())
