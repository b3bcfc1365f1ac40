"""What Cyrus IMAP tells over its notify socket, taken in by a process of its own, `tidings cyrus-notify`."""
