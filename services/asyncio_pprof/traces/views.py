"""The pages of traces as HTML, and as values for JSON. Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence

from asyncio_pprof.traces.book import BOUNDS, Family, Trace


def seconds(value: float) -> str:
    """A time as people read it."""
    if value < 0.9995e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 0.9995:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.2f} s"


def summary(families: Sequence[Family]) -> str:
    """How many of each family are under way, took how long, and failed; each number leads to its traces."""
    heads = "".join(f"<th scope=col>≥ {bound * 1000:g} ms" for bound in BOUNDS)
    lines = []
    for family in families:
        active, counts, rejections, errors = family.counts()
        name = html.escape(family.name)
        buckets = ((str(at), count) for at, count in enumerate(counts))
        cells = [("active", active), *buckets, ("rejections", rejections), ("errors", errors)]
        linked = "".join(
            f'<td><a href="requests?family={name}&amp;show={show}">{count:,}</a>' if count else "<td>0"
            for show, count in cells
        )
        lines.append(f"<tr><th scope=row>{name}<br><small>{html.escape(family.what)}</small>{linked}")
    return (
        "<div class=wide tabindex=0><table><thead><tr><th scope=col>Family<th scope=col>Under way"
        f"{heads}<th scope=col>Rejected<th scope=col>Errors"
        f"<tbody>{''.join(lines)}</table></div>"
    )


def listing(traces: Sequence[Trace], now: float) -> str:
    """Traces with their stages: when, how long after the one before, and what."""
    return "".join(f"<section class=trace><h2>{_head(trace, now)}</h2>{_stages(trace)}</section>" for trace in traces)


def _head(trace: Trace, now: float) -> str:
    took = "under way" if trace.latency is None else f"took {seconds(trace.latency)}"
    state = "failed" if trace.error else took
    return f"{html.escape(trace.title)} <small>{state}, began {seconds(max(0.0, now - trace.began))} ago</small>"


def _stages(trace: Trace) -> str:
    lines = []
    before = 0.0
    for at, stage in tuple(trace.events):
        lines.append(f"<tr><th scope=row>{seconds(at)}<td>+{seconds(max(0.0, at - before))}<td>{html.escape(stage)}")
        before = at
    return f"<table class=stages><tbody>{''.join(lines)}</table>"


def values(traces: Sequence[Trace], now: float) -> list[dict[str, object]]:
    """Traces for JSON."""
    return [
        {
            "title": trace.title,
            "age_seconds": round(now - trace.began, 6),
            "latency_seconds": None if trace.latency is None else round(trace.latency, 6),
            "error": trace.error,
            "stages": [{"at_seconds": round(at, 6), "stage": stage} for at, stage in tuple(trace.events)],
        }
        for trace in traces
    ]
