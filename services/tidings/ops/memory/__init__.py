"""A process's memory from Python's heap to the kernel's sockets: read, explained, given back. Knows no application."""

from tidings.ops.memory.account import MemoryAccount
from tidings.ops.memory.pages import MemoryPages

__all__ = ["MemoryAccount", "MemoryPages"]
