"""The log on RabbitMQ streams: the only package that knows the client libraries.

Two connections, because an alarm on the broker blocks those that publish. Each is a series of sessions: connect,
declare the topology, serve, and be replaced when the connection ends. State that belongs to a connection lives in
its session and ends with it.

Connections and topology go through aio_pika. Publishing and reading use the channels of aiormq beneath it: a
publish costs less there, a cancel by the broker is told, and closing one leaves nothing behind on its connection.
"""

from tidings.bus.rabbitmq.log import RabbitMQLog

__all__ = ["RabbitMQLog"]
