"""Tidings beside what else could tell a browser that its mailbox changed: one run, one core each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from bench import timers, trial
from bench.peers import Peer, polling
from bench.peers.centrifugo import Centrifugo, CentrifugoHistory
from bench.peers.fastapi_ws import FastApiWebSockets
from bench.peers.nchan import Nchan
from bench.peers.through import ThroughRabbitMQ
from bench.peers.tidings import Gateway, Whole
from bench.peers.written import BareLoop, Gobwas, Picows, Socketify
from bench.rate import Rate
from bench.story import POLL_SECONDS, story
from bench.trial import Result
from tests.support.rabbitmq import BrokerError

PEERS: Final[tuple[Callable[[], Peer], ...]] = (
    Gateway,
    ThroughRabbitMQ,
    Whole,
    Gobwas,
    Nchan,
    Socketify,
    Picows,
    Centrifugo,
    CentrifugoHistory,
    FastApiWebSockets,
    BareLoop,
)


class Comparison(NamedTuple):
    """Every peer's result, or why it has none; the polls; and what a waiting connection takes of a core."""

    results: dict[str, Result | str]
    polls: Rate
    idle: float

    def story(self) -> str:
        """What polling costs, and what replaces it."""
        return story(self.polls, self.results[ThroughRabbitMQ.name], self.idle)


def measure() -> Comparison:
    """Measure every peer. One that cannot be measured is listed with the reason."""
    results = {peer.name: _measured(peer) for peer in (make() for make in PEERS)}
    _say("the timers of idle connections")
    idle = timers.idle(timers.SHORT_SECONDS).connection
    _say(polling.NAME)
    return Comparison(results, polling.measure(), idle)


def _say(what: str) -> None:
    sys.stderr.write(f"  {what} ...\n")


def _measured(peer: Peer) -> Result | str:
    missing = peer.missing()
    if missing:
        return missing
    _say(peer.name)
    try:
        return trial.measure(peer)
    except (OSError, RuntimeError, AssertionError, BrokerError) as error:
        return f"failed: {(str(error).strip() or type(error).__name__).splitlines()[-1]}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(result: Result) -> tuple[str, ...]:
    return (
        f"{result.memory:,.0f} B",
        f"{result.upgrades.per_core:,.0f}",
        f"{result.one.per_core:,.0f}",
        f"{result.distinct.per_core:,.0f}",
        f"{result.percentile(0.5) * 1000:.1f} / {result.percentile(0.99) * 1000:.1f} ms",
    )


def _busy(result: Result) -> tuple[str, ...]:
    rates = (result.upgrades, result.one, result.distinct, result.latency)
    return tuple(f"{rate.server_share:.0%} / {rate.load_share:.0%}" for rate in rates)


def table(comparison: Comparison) -> str:
    """The table for the README."""
    polls = f"{comparison.polls.per_core:,.0f} polls/s"
    polled = f"{POLL_SECONDS / 2:.0f} / {POLL_SECONDS * 0.99:.1f} s"
    lines = [
        _row(
            "one core each",
            "memory per idle connection",
            "upgrades/s",
            f"pushes/s, one account with {trial.FAN:,} connections",
            "pushes/s, distinct accounts",
            f"p50 / p99 at {trial.RATE:,} changes/s",
        ),
        "|---|--:|--:|--:|--:|--:|",
        *(
            _row(name, *(_cells(result) if isinstance(result, Result) else (result, *[""] * 4)))
            for name, result in comparison.results.items()
        ),
        _row(f"{polling.NAME}, every {POLL_SECONDS:.0f} s", "none between polls", "", polls, polls, polled),
    ]
    return "\n".join(lines) + "\n"


def notes(comparison: Comparison) -> str:
    """How it was measured, how busy both sides were, and what each does for its figures."""
    lines = [
        "Each server ran alone on one core, the load (bench/crowd.py: one thread, bare sockets, epoll, the same for "
        "all) on the other. Rates are per second of the server's CPU time, so that they do not depend on the load's "
        "speed; the shares of the two cores while measuring:",
        "",
        _row("server / load", "upgrades", "pushes, one account", "pushes, distinct accounts", "latency"),
        "|---|--:|--:|--:|--:|",
        *(_row(name, *_busy(result)) for name, result in comparison.results.items() if isinstance(result, Result)),
        _row(polling.NAME, "", "", f"{comparison.polls.server_share:.0%} / {comparison.polls.load_share:.0%}", ""),
        "",
        f"Memory: resident memory of the server's processes as the slope between {trial.FEW:,} and {trial.MANY:,} "
        "connections, without the kernel's. Pushes: a StateChange of one data type; one account: the next change when "
        f"all have been told; distinct: {trial.MANY:,} accounts, up to {trial.AHEAD:,} changes ahead, {trial.BATCH} in "
        f"one request where the peer takes several. Latency: {trial.RATE:,} changes/s of random accounts, "
        f"{trial.LATENCY_BATCH} at a time, from before the request to the client's read. Tidings ran with "
        "--coalesce-ms 0. What each does for its figures:",
        "",
        *(f"- {peer.name}: {peer.does}." for peer in (make() for make in PEERS)),
    ]
    return "\n".join(lines) + "\n"
