"""The only sockets of the gateway: the reactor and what it needs."""
