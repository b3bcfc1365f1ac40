"""Storages that are watched: one module each."""
