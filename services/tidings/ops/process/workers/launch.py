"""Puts supervisor, workers and admin process together: which of them has which sockets and pipes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tidings.ops import logs
from tidings.ops.admin.guard import admin_access
from tidings.ops.admin.listeners import ops_sockets
from tidings.ops.health import expose
from tidings.ops.metrics import merges
from tidings.ops.process.runtime import new_runtime
from tidings.ops.process.workers.admin import Answers, administer
from tidings.ops.process.workers.board import Board
from tidings.ops.process.workers.peers import Joined
from tidings.ops.process.workers.supervisor import Child, Supervisor
from tidings.ops.process.workers.worker import Compose, Place, work
from tidings.ops.settings.common import OpsSettings


def run_workers(
    settings: OpsSettings,
    command: str,
    listen: Callable[[], Sequence[socket.socket]],
    compose: Compose,
    joined: Joined = MappingProxyType({}),
) -> int:
    """Run a worker on each of the sockets that `listen` gives until SIGTERM or SIGINT; the process's exit code.

    Raises SettingsError when they cannot start because of something the operator has to change.
    """
    logs.configure(settings.log_format, settings.log_level)
    access = admin_access(settings)
    # Composed once here for what is wrong with the settings, for how gauges merge, and for what composing imports:
    # workers share its pages.
    runtime = new_runtime()
    expose(runtime.health, command, runtime.registry)
    compose(runtime, None)
    answers = Answers(f"tidings {command}", access, joined, merges(runtime.registry))
    admin_sockets = ops_sockets(settings)
    places = [Place(number, sock, _unix_listener()) for number, sock in enumerate(listen(), 1)]
    return _supervisor(command, places, admin_sockets, compose, settings, answers).run()


def _unix_listener() -> socket.socket:
    """A listening Unix socket under an abstract name of the kernel's choice: nothing to remove, whoever dies how."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind("")
    sock.listen()
    return sock


class Lifeline:
    """A pipe whose writing end only the supervisor has: processes that read its end stop."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()

    def cut(self) -> None:
        """Have those stop that hold the other end; in one of them, leave it to the supervisor to do so."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1


def _supervisor(
    command: str,
    places: Sequence[Place],
    admin_sockets: Mapping[str, socket.socket],
    compose: Compose,
    settings: OpsSettings,
    answers: Answers,
) -> Supervisor:
    board = Board(len(places))
    workers_line, admin_line = Lifeline(), Lifeline()
    addresses = {place.number: place.admin.getsockname().decode() for place in places}

    def close_all_but(mine: Place | None) -> None:
        """In a process that was just forked: only the supervisor keeps what is not its own."""
        workers_line.cut()
        admin_line.cut()
        for place in places:
            if place is not mine:
                place.close()

    def worker(place: Place) -> Child:
        seat = board.workers[place.number]

        def live() -> None:
            close_all_but(place)
            for sock in admin_sockets.values():
                sock.close()
            work(command, place, len(places), seat, workers_line.reading, compose, settings)

        return Child("worker", {"worker": place.number}, seat, live)

    def administrate() -> None:
        close_all_but(None)
        administer(answers, admin_sockets, addresses, board, admin_line.reading)

    def stop_workers() -> None:
        # From here on each worker says itself when its socket refuses connections.
        for place in places:
            place.close()
        workers_line.cut()

    admin = Child("admin process", {}, board.admin, administrate)
    return Supervisor(board.supervisor, [worker(place) for place in places], admin, stop_workers, admin_line.cut)
