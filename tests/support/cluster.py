"""RabbitMQ nodes on this machine that are one cluster."""

from __future__ import annotations

from tests.support.broker import Broker, Started

SETTINGS = ("queue_leader_locator = balanced",)


class Cluster(Started):
    """Nodes with one epmd, cookie and administrator; each stream has a replica on every node."""

    def __init__(self, nodes: int, vhosts: int = 1) -> None:
        first = Broker(vhosts, settings=SETTINGS)
        self.nodes = [first, *(Broker(vhosts, settings=SETTINGS, peer=first) for _ in range(nodes - 1))]

    def start(self) -> None:
        """Start all of them, and make them one (about 10 s a node)."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_ready()
        for node in self.nodes[1:]:
            node.join(self.nodes[0])

    def leaders(self, vhost: str = "0") -> dict[str, Broker]:
        """The node that leads, by stream."""
        listed = self.nodes[0].ctl("list_queues", "--vhost", vhost, "name", "leader")
        named = {node.name: node for node in self.nodes}
        rows = (line.split("\t") for line in listed.splitlines())
        return {stream: named[leader] for stream, leader in rows if leader in named}

    def close(self) -> None:
        """Kill all of them and remove their data; the first has the epmd."""
        for node in reversed(self.nodes):
            node.close()
