"""Several processes on one port: a supervisor, its workers, and one admin endpoint for all of them."""

from tidings.ops.process.workers.launch import run_workers

__all__ = ["run_workers"]
