"""A RabbitMQ node as those see it who use it: its virtual hosts, and its commands."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.roots import entering
from tests.support.waiting import patient

USER = "tidings"
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Where Debian has them."""
COMMAND_SECONDS = 60.0

COORDINATES = """
Wait = fun Wait() ->
    case ra:members({rabbit_stream_coordinator, node()}) of
        {ok, Members, _} -> lists:keymember('%s', 2, Members) orelse (timer:sleep(200) =:= ok andalso Wait());
        _ -> timer:sleep(200), Wait()
    end
end,
Wait().
"""

MISSING = "a real RabbitMQ is needed: install it with `apt-get install rabbitmq-server`"


class BrokerError(Exception):
    """The node cannot be started; the text says why."""


def find_scripts() -> Path:
    """The directory of RabbitMQ's own scripts.

    Debian's commands on PATH are wrappers that change to the user rabbitmq; what they wrap is in /usr/lib.
    """
    candidates = [SCRIPTS / "rabbitmq-server"]
    if found := shutil.which("rabbitmq-server"):
        candidates.append(Path(found).resolve())
    for candidate in candidates:
        if candidate.is_file() and candidate.name == "rabbitmq-server":
            return candidate.parent
    raise BrokerError(MISSING)


def definitions(password: str, vhosts: int) -> str:
    """One administrator and `vhosts` empty virtual hosts named 0, 1, ..., as RabbitMQ's definitions file."""
    salt = secrets.token_bytes(4)
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    names = [str(number) for number in range(vhosts)]
    return json.dumps(
        {
            "users": [
                {
                    "name": USER,
                    "password_hash": digest,
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": ["administrator"],
                }
            ],
            "vhosts": [{"name": name} for name in names],
            "permissions": [
                {"user": USER, "vhost": name, "configure": ".*", "write": ".*", "read": ".*"} for name in names
            ],
        }
    )


class Node:
    """A node that runs. `environment` is what its own commands need, `root` where they are, if not on this machine."""

    def __init__(
        self, port: int, password: str, vhosts: int, environment: Mapping[str, str], root: str | None = None
    ) -> None:
        self.port = port
        self._password = password
        self._vhosts = vhosts
        self._environment = environment
        self._root = root
        self._scripts = SCRIPTS if root else find_scripts()
        self._taken = 0

    def address(self) -> dict[str, object]:
        """The arguments that another process makes its Node with."""
        return {
            "port": self.port,
            "password": self._password,
            "vhosts": self._vhosts,
            "environment": dict(self._environment),
            "root": self._root,
        }

    @property
    def name(self) -> str:
        return self._environment["RABBITMQ_NODENAME"]

    @property
    def url(self) -> str:
        """The URL of virtual host 0."""
        return self._url(0)

    def login(self) -> dict[str, str]:
        """What a STOMP client's CONNECT frame names, for virtual host 0."""
        return {"login": USER, "passcode": self._password, "host": "0"}

    def fresh_url(self) -> str:
        """The URL of a virtual host that nobody was given before."""
        number = self._take()
        if number >= self._vhosts:
            raise BrokerError(f"all {self._vhosts} virtual hosts are taken: ask for more")
        return self._url(number)

    def _take(self) -> int:
        """The number of a virtual host that nobody was given before."""
        self._taken += 1
        return self._taken - 1

    def _url(self, vhost: int) -> str:
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self.port}/{vhost}"

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node (about 2 s of CPU) and return what it prints."""
        return self._run("rabbitmqctl", *arguments)

    def drop_replica(self, vhost: str, stream: str) -> None:
        """Have this node keep no copy of a stream. Its leader is another node."""
        self._run("rabbitmq-streams", "delete_replica", "--vhost", vhost, stream, self.name)

    def wait_coordinates(self, node: str) -> None:
        """Return once a node has a part in coordinating streams, which this one's cluster gives it within a minute."""
        self.ctl("eval", COORDINATES % node)

    def add_replica(self, vhost: str, stream: str, node: str) -> None:
        """Have a node of this one's cluster keep a copy of a stream."""
        self._run("rabbitmq-streams", "add_replica", "--vhost", vhost, stream, node)

    def _here(self, command: Sequence[str]) -> Sequence[str]:
        """The command, where this node's RabbitMQ is."""
        if self._root is None:
            return command
        return entering(Path(self._root), Path(self._environment["HOME"]), "ro", command)

    def _run(self, script: str, *arguments: str) -> str:
        environment = {**self._environment, "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ""}
        command = [str(self._scripts / script), "--node", self.name, "--quiet", *arguments]
        done = subprocess.run(
            self._here(command),
            env=environment,
            capture_output=True,
            text=True,
            timeout=patient(COMMAND_SECONDS),
            check=False,
        )
        if done.returncode:
            raise BrokerError(f"{script} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout
