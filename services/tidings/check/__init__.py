"""Checks an installation from outside: tells a publisher of changes, and sees them arrive at a gateway."""
