"""Catching up: what a client has missed, from windows or from the log."""
