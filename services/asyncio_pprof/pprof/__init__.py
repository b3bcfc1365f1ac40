"""Profiles in the format and at the paths of Go's `net/http/pprof`, of a Python process that serves by asyncio.

It knows nothing of what it is built into: what only that can tell (its name, its connections) is passed in.
"""

from asyncio_pprof.pprof.descriptors import Connections
from asyncio_pprof.pprof.profiler import Options, Profiler

__all__ = ["Connections", "Options", "Profiler"]
