"""The log on RabbitMQ streams: the only package that knows the client libraries.

Two connections, because an alarm on the broker blocks those that publish. Each is a series of sessions: connect,
declare the topology, serve, and be replaced when the connection ends. State that belongs to a connection lives in
its session and ends with it.

Connections and topology go through aio_pika. Reading and publishing have channels of their own on its connections,
with no task for each entry. What comes is cut into frames (splitting). Those of readers' channels are put together
(deliveries, content) and handed over as they come (reader). Entries are written whole (publishes), and the broker's
answers to them are matched (confirming, unconfirmed). All other frames go to the library (frames).
"""

from tidings.bus.rabbitmq.log import RabbitMQLog

__all__ = ["RabbitMQLog"]
