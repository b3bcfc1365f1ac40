"""How a source hands over what it has found. Every source is constructed alike:

Source(what its settings say ..., state_dir, submit, counters, accounts)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tidings.wire.change import Change

Submit = Callable[[Sequence[Change]], Awaitable[None]]
"""Returns once the log has confirmed the changes, or the spool has them on disk; raises LogError otherwise: repeat all.

Those of one account reach the log in the order of the calls, as long as the next one is not made before the last has
returned or was repeated.
"""
