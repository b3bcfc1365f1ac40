"""Tidings beside what else could tell a browser that its mailbox changed: one run, one core each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from bench import timers, trial
from bench.peers import Peer, polling
from bench.peers.fastapi_ws import FastApiWebSockets
from bench.peers.nchan import Nchan
from bench.peers.tidings import Gateway, Whole
from bench.peers.web_stomp import WebStomp
from bench.rate import Rate
from bench.trial import Result
from tests.support.broker import BrokerError

PEERS: Final[tuple[Callable[[], Peer], ...]] = (Gateway, Whole, FastApiWebSockets, Nchan, WebStomp)
POLLS: Final = 50_000
"""Polls a second of the story that push replaces."""
POLL_INTERVAL: Final = 30.0
"""Seconds between two polls of a client."""


class Comparison(NamedTuple):
    """Every peer's result, or why it has none; the polls; and what a waiting connection takes of a core."""

    results: dict[str, Result | str]
    polls: Rate
    idle: float


def measure() -> Comparison:
    """Measure every peer. One that cannot be measured is listed with the reason."""
    results = {peer.name: _measured(peer) for peer in (make() for make in PEERS)}
    _say("the timers of idle connections")
    idle = timers.idle().connection
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
    polled = f"{POLL_INTERVAL / 2:.0f} / {POLL_INTERVAL * 0.99:.1f} s"
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
        _row(f"{polling.NAME}, every {POLL_INTERVAL:.0f} s", "none between polls", "", polls, polls, polled),
    ]
    return "\n".join(lines) + "\n"


def story(comparison: Comparison) -> str:
    """What the polls take, and what the pushes that replace them take."""
    polls = comparison.polls
    changed = POLLS * (10 - polling.UNCHANGED_IN_TEN) / 10
    clients = POLLS * POLL_INTERVAL
    text = (
        f"{POLLS:,} polls/s, {polling.UNCHANGED_IN_TEN * 10}% of them answered 304, take "
        f"**{POLLS / polls.per_core:.1f} cores** of this polling server ({polls.per_core:,.0f} polls/s on one; "
        "its states are in memory, a real one asks a database). "
    )
    gateway = comparison.results[Gateway.name]
    if isinstance(gateway, str):
        return text
    pushing, waiting = changed / gateway.distinct.per_core, clients * comparison.idle
    return text + (
        f"If each client polls every {POLL_INTERVAL:.0f} s these are {clients:,.0f} clients, and the polls that find "
        f"something become at most {changed:,.0f} pushes/s: **{pushing + waiting:.1f} cores** of gateways "
        f"({pushing:.1f} for the pushes, {waiting:.1f} for the pings of all the connections), and "
        f"{clients * gateway.memory / 2**30:.1f} GiB for the connections."
    )


def notes(comparison: Comparison) -> str:
    """How it was measured, and how busy both sides were."""
    counts = "; ".join(f"{make().name} {make().few:,} to {make().many:,}" for make in PEERS)
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
        f"Memory: resident memory of the server's processes as the slope between two crowds ({counts}), without the "
        "kernel's. Pushes: a StateChange of one data type; one account: the next change when all have been told; "
        f"distinct: up to {trial.AHEAD:,} ahead, {trial.BATCH} in one request where the peer takes several. Latency: "
        f"{trial.RATE:,} changes/s of random accounts, {trial.LATENCY_BATCH} at a time, from before the request to the "
        "client's read. On an upgrade Tidings and FastAPI verify an HS256 token, Web-STOMP a password, Nchan nothing. "
        f"Tidings ran with --coalesce-ms 0; {Gateway.name}: batches come to the log in its process as the bus would "
        f"deliver them, the AMQP client is not in it; {Whole.name}: `tidings up`, validation of CloudEvents included.",
    ]
    return "\n".join(lines) + "\n"
