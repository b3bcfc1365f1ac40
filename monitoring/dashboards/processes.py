"""What every process tells of itself, for the dashboards of services."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.builders.timeseries import Panel

from monitoring.panels import THIRD, note, series
from monitoring.promql import PROCESS as HERE
from monitoring.promql import Query


def process_panels(dashboard: Dashboard, command: str, admin_port: int) -> Dashboard:
    """CPU, memory, files, pauses, and how to profile a process of this command."""
    return (
        dashboard.with_row(Row("Process"))
        .with_panel(
            series(
                "CPU",
                "Cores used. A gateway's loop is one core: near 1, push latency grows.",
                "short",
                Query(HERE.rate("process_cpu_seconds_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Resident memory",
                "Without what the kernel keeps for sockets.",
                "bytes",
                Query(HERE.select("process_resident_memory_bytes"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Open files",
                "A connection is a file. And how many there may be.",
                "short",
                Query(HERE.select("process_open_fds"), "{{instance}} open"),
                Query(HERE.select("process_max_fds"), "{{instance}} limit"),
            )
        )
        .with_panel(
            series(
                "Main loop busy",
                "CPU time of the thread that the main loop runs in, as a share of one core: at 1 there is no more.",
                "percentunit",
                Query(HERE.rate("tidings_loop_cpu_seconds_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Timers late",
                "How late timers of the main loop go off: what everything that happens in it waits for.",
                "s",
                *HERE.percentiles("tidings_loop_late_seconds", "late", 50, 99),
            )
        )
        .with_panel(
            series(
                "Memory, by layer",
                "What the layers are, and why they differ, is on the admin port: /debug/memory.",
                "bytes",
                Query(HERE.total("tidings_memory_bytes", by="layer"), "{{layer}}"),
                Query(HERE.total("tidings_cgroup_memory_bytes", by="layer"), "container: {{layer}}"),
            )
        )
        .with_panel(
            series(
                "Held for others, by kind",
                "Bytes that clients, sources and the log make the processes hold.",
                "bytes",
                Query(HERE.total("tidings_held_bytes", by="kind"), "{{kind}}"),
            )
        )
        .with_panel(
            series(
                "Refused for want of room, by kind",
                "How often something was refused because it did not fit.",
                "ops",
                Query(HERE.rate("tidings_held_refusals_total", by="kind"), "{{kind}}"),
            )
        )
        .with_panel(
            series(
                "Memory pressure",
                "0: none. 1: new work is refused. 2: the connections that hold most are closed, too.",
                "short",
                Query(HERE.select("tidings_memory_pressure"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Main loop silent for",
                "Time since the main loop last ran, which it should every second. At 30 s the process is restarted.",
                "s",
                Query(HERE.select("tidings_beat_age_seconds"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Pauses of the garbage collector",
                "Share of the time that collections stopped the process, by generation.",
                "percentunit",
                Query(HERE.rate("tidings_gc_pause_seconds_sum", by="generation"), "generation {{generation}}"),
            )
        )
        .with_panel(
            series(
                "Blocking work",
                "Calls in the pool of threads, and those that wait for a thread.",
                "short",
                Query(HERE.select("tidings_pool_running"), "{{instance}} running"),
                Query(HERE.select("tidings_pool_queued"), "{{instance}} queued"),
            )
        )
        .with_panel(note("Look inside", _inside(command, admin_port)))
    )


def broker_panel(width: int = THIRD) -> Panel:
    """How a service stands with the broker."""
    return series(
        "Connections to the broker",
        "Those that are up, whether the broker blocks publishing (an alarm), and failures per second.",
        "short",
        Query(HERE.total("tidings_bus_connected", by="connection"), "{{connection}} up"),
        Query(HERE.total("tidings_bus_blocked"), "blocked"),
        Query(HERE.rate("tidings_bus_failures_total", by="connection"), "{{connection}} failures"),
        width=width,
    )


def _inside(command: str, port: int) -> str:
    return (
        "The admin pages are on the loopback of each process only. From Kubernetes:\n\n"
        f"    kubectl port-forward POD {port}:{port}\n\n"
        f"Then [http://127.0.0.1:{port}/](http://127.0.0.1:{port}/) lists them, and "
        f"[/debug/pprof/](http://127.0.0.1:{port}/debug/pprof/) the profiles, each as a flame graph or for "
        f"`go tool pprof http://127.0.0.1:{port}/debug/pprof/profile?seconds=10`. On a host that runs "
        f"`tidings {command}` the same addresses work as they are.\n"
    )
