"""Pushes changes to parked client connections."""
