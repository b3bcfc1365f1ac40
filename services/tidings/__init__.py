"""Tidings tells mail web clients that a mailbox changed, the moment it changed."""
