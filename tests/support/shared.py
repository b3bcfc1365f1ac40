"""One RabbitMQ node for all processes that run the tests, and a keeper that ends it once nobody uses it.

Whoever needs the node first starts its keeper, a process of its own: `python -m tests.support.shared DIRECTORY`. Who
uses the node holds a lock that others share. The keeper waits for the same lock alone. It gets the lock when the last
user has ended, by whatever means: the kernel takes a lock away with the process that held it.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.broker import Broker
from tests.support.rabbitmq import BrokerError, Node

VHOSTS = 96
READY = "ready\n"
ROOT = Path(__file__).resolve().parents[2]

_keepers: list[subprocess.Popen[str]] = []


class SharedNode(Node):
    """The node, whose virtual hosts go to whichever process asks."""

    def __init__(self, directory: Path) -> None:
        super().__init__(**json.loads(_address(directory).read_text()))
        self._directory = directory

    def _take(self) -> int:
        with _locked(self._directory / "taken", fcntl.LOCK_EX) as file:
            number = len(file.read())
            file.write(".")
            return number


@contextmanager
def shared_node(directory: Path) -> Iterator[SharedNode]:
    """Use the node that belongs to a directory. Raises BrokerError when it cannot be started."""
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory / "users", fcntl.LOCK_SH):
        with _locked(directory / "starting", fcntl.LOCK_EX):
            if not _address(directory).exists():
                _start_keeper(directory)
        yield SharedNode(directory)


def _start_keeper(directory: Path) -> None:
    # In a session of its own: what a terminal sends to everybody ends the users first.
    keeper = subprocess.Popen(
        [sys.executable, "-m", __name__, str(directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    # It outlives this process, perhaps: nobody waits for its end.
    _keepers.append(keeper)
    assert keeper.stdout is not None
    with keeper.stdout as said:
        if (line := said.readline()) != READY:
            raise BrokerError(line + said.read())


def _address(directory: Path) -> Path:
    return directory / "node.json"


@contextmanager
def _locked(path: Path, how: int) -> Iterator[IO[str]]:
    with path.open("a+") as file:
        fcntl.flock(file, how)
        file.seek(0)
        yield file
        file.flush()


def keep(directory: Path) -> None:
    """Run a node until nobody uses it any more."""
    with Broker(VHOSTS) as broker:
        _address(directory).write_text(json.dumps(broker.address()))
        sys.stdout.write(READY)
        sys.stdout.flush()
        with _locked(directory / "users", fcntl.LOCK_EX):
            # Who comes while the node ends waits for this lock, and then starts another one.
            _address(directory).unlink()
            (directory / "taken").unlink(missing_ok=True)
            broker.close()


if __name__ == "__main__":
    try:
        keep(Path(sys.argv[1]))
    except BrokerError as error:
        sys.exit(str(error))
