"""Pure: what a connection is, and what it is told."""
