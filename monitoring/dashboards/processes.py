"""What every process tells of itself, for the dashboards of services."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.builders.timeseries import Panel

from monitoring.panels import HEIGHT, THIRD, WHOLE, note, series
from monitoring.promql import PROCESS as HERE
from monitoring.promql import Query


def process_panels(dashboard: Dashboard, command: str, admin_port: int) -> Dashboard:
    """CPU, memory, files, pauses, and how to profile a process of this command."""
    return (
        dashboard.with_row(Row("Process"))
        .with_panel(
            series(
                "CPU",
                "Cores used. A gateway's main loop can use one core. Near 1, push latency grows.",
                "short",
                Query(HERE.rate("process_cpu_seconds_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Resident memory",
                "Resident memory, without the kernel's memory for sockets.",
                "bytes",
                Query(HERE.select("process_resident_memory_bytes"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Open files",
                "Open files, and the limit. Each connection is an open file.",
                "short",
                Query(HERE.select("process_open_fds"), "{{instance}} open"),
                Query(HERE.select("process_max_fds"), "{{instance}} limit"),
            )
        )
        .with_panel(
            series(
                "Main loop busy",
                "CPU time of the main loop's thread, as a share of one core. At 1, the loop is fully used.",
                "percentunit",
                Query(HERE.rate("tidings_loop_cpu_seconds_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Timers late",
                "How late timers of the main loop fire. All work in the loop is late by this time.",
                "s",
                *HERE.percentiles("tidings_loop_late_seconds", "late", 50, 99),
            )
        )
        .with_panel(
            series(
                "Memory, by layer",
                "/debug/memory on the admin port explains the layers, and why they differ.",
                "bytes",
                Query(HERE.total("tidings_memory_bytes", by="layer"), "{{layer}}"),
                Query(HERE.total("tidings_cgroup_memory_bytes", by="layer"), "container: {{layer}}"),
            )
        )
        .with_panel(
            series(
                "Held memory, by kind",
                "Bytes that the processes hold for clients, sources and the log.",
                "bytes",
                Query(HERE.total("tidings_held_bytes", by="kind"), "{{kind}}"),
            )
        )
        .with_panel(
            series(
                "Refused for lack of memory, by kind",
                "How often the processes refused work because its memory did not fit into the budget.",
                "ops",
                Query(HERE.rate("tidings_held_refusals_total", by="kind"), "{{kind}}"),
            )
        )
        .with_panel(
            series(
                "Memory pressure",
                "0: no pressure. 1: the process refuses new work. 2: it also closes the connections that hold most "
                "memory.",
                "short",
                Query(HERE.select("tidings_memory_pressure"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Main loop silent for",
                "Time since the main loop last ran. It should run every second. At 30 s, the process is restarted.",
                "s",
                Query(HERE.select("tidings_beat_age_seconds"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Pauses of the garbage collector",
                "Share of the time that garbage collections stopped the process, by generation.",
                "percentunit",
                Query(HERE.rate("tidings_gc_pause_seconds_sum", by="generation"), "generation {{generation}}"),
            )
        )
        .with_panel(
            series(
                "Blocking work",
                "Calls that run in the thread pool, and calls that wait for a thread.",
                "short",
                Query(HERE.select("tidings_pool_running"), "{{instance}} running"),
                Query(HERE.select("tidings_pool_queued"), "{{instance}} queued"),
            )
        )
        .with_panel(
            series(
                "Spans of traces, by outcome",
                "With --tracing-endpoint: spans that the collector took, that it did not take, and that had no room "
                "to wait in. Changes are pushed as usual whatever becomes of their spans.",
                "ops",
                Query(HERE.rate("tidings_tracing_spans_total", by="outcome"), "{{outcome}}"),
            )
        )
        .with_panel(note("Look inside", _inside(command, admin_port), width=WHOLE - THIRD, height=HEIGHT))
    )


def broker_panel(width: int = THIRD) -> Panel:
    """How a service stands with the broker."""
    return series(
        "Connections to the broker",
        "Connections that are up, processes that the broker blocks because of an alarm, and failures per second.",
        "short",
        Query(HERE.total("tidings_bus_connected", by="connection"), "{{connection}} up"),
        Query(HERE.total("tidings_bus_blocked"), "blocked"),
        Query(HERE.rate("tidings_bus_failures_total", by="connection"), "{{connection}} failures"),
        width=width,
    )


def _inside(command: str, port: int) -> str:
    return (
        "The admin pages are on the loopback address of each process. With Kubernetes, run:\n\n"
        f"    kubectl port-forward POD {port}:{port}\n\n"
        f"Then open [http://127.0.0.1:{port}/](http://127.0.0.1:{port}/) for all admin pages, or "
        f"[/debug/pprof/](http://127.0.0.1:{port}/debug/pprof/) for profiles. You can open each profile as a flame "
        f"graph, or with `go tool pprof http://127.0.0.1:{port}/debug/pprof/profile?seconds=10`. On a host that runs "
        f"`tidings {command}`, the same addresses work without `kubectl`.\n"
    )
