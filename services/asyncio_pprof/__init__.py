"""Profiles, memory and traces of an asyncio program, served over HTTP in the formats that pprof reads."""

from asyncio_pprof.access import Guard, loopback_only
from asyncio_pprof.home import Home
from asyncio_pprof.pprof import Options
from asyncio_pprof.profiling import Profiling
from asyncio_pprof.traces import reached

__all__ = ["Guard", "Home", "Options", "Profiling", "__version__", "loopback_only", "reached"]
__version__ = "0.1.0"
