"""Parked connections: a WebSocket, an event stream, a poll."""
