"""A process's memory from Python's heap to the kernel's sockets: read, explained, given back. Knows no application."""

from asyncio_pprof.memory.breakdown import Breakdown
from asyncio_pprof.memory.pages import MemoryPages
from asyncio_pprof.memory.pauses import Pauses

__all__ = ["Breakdown", "MemoryPages", "Pauses"]
