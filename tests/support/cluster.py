"""RabbitMQ nodes on this machine that are one cluster."""

from __future__ import annotations

from tests.support.broker import Broker
from tests.support.roots import Root
from tests.support.started import Started

SETTINGS = ("queue_leader_locator = balanced",)


class Cluster(Started):
    """Nodes with one epmd, cookie and administrator. A stream has a replica on every node that was there first."""

    def __init__(self, nodes: int, vhosts: int = 1, root: Root | None = None) -> None:
        self.nodes = [Broker(vhosts, settings=SETTINGS, root=root)]
        self._size = nodes
        self._vhosts = vhosts
        self._root = root

    def start(self) -> None:
        """Start the first one, and then all others at once (about 10 s each)."""
        self.nodes[0].start()
        for node in self.grow(self._size - 1):
            node.wait_ready()

    def grow(self, count: int) -> list[Broker]:
        """So many more nodes, which start. They have no replica of the streams that are there."""
        peer = self.nodes[0]
        new = [Broker(self._vhosts, settings=SETTINGS, peer=peer, root=self._root) for _ in range(count)]
        self.nodes += new
        for node in new:
            node.launch()
        return new

    def forget(self, node: Broker) -> None:
        """Have the others know no more of a node that is dead."""
        self.nodes.remove(node)
        self.nodes[0].ctl("forget_cluster_node", node.name)
        node.close()

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
