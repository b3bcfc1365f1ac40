"""Pure: bytes to values and back. No socket, clock, task or third-party I/O."""
