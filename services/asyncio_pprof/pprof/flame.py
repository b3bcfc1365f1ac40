"""Flame graphs in the browser: speedscope's static pages, served by this process, that load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from asyncio_pprof.files import files

POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Speedscope makes its rules of style as it runs, and one of its importers is WebAssembly."""

serve: Final = files(Path(__file__).parent / "speedscope", {"Content-Security-Policy": POLICY}, "index.html")
