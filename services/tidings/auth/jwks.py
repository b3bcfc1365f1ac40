"""The key set of an identity provider, fetched from its address and kept fresh."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx2
import structlog
from prometheus_client import CollectorRegistry, Counter

from tidings.auth.keys import Key, candidates, read_key_set
from tidings.errors import KeysError, RequestRejected
from tidings.ops.health import Health
from tidings.ops.metrics import HotMetrics

MAX_BYTES: Final = 64 * 1024
FETCH_SECONDS: Final = 5.0
REFRESH_SECONDS: Final = 300.0
FIRST_SECONDS: Final = 5.0
"""Between attempts while no set has been fetched yet: nobody can be let in."""
UNKNOWN_SECONDS: Final = 10.0
"""Tokens that name unknown keys have the set fetched this often, on average: anybody can make such tokens."""
UNKNOWN_BURST: Final = 6
"""So many of these fetches may come at once, so that the first token of a new key does not wait for those of others."""
ABSENT_SECONDS: Final = 60.0
"""How long a key that a fetch did not bring is taken not to exist."""
MAX_SOUGHT: Final = 1024
"""Unknown keys that are remembered. One that is forgotten is looked for once more."""

_log = structlog.get_logger()


class _Sought(NamedTuple):
    """A key that is not in the set: since when it is looked for, and how many fetches had begun by then."""

    since: float
    begun: int


class KeySet:
    """The last good set. A fetch that fails changes nothing."""

    name = "keys"

    def __init__(
        self,
        url: str,
        registry: CollectorRegistry,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._host = urlsplit(url).netloc
        self._health = health
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._client: httpx2.AsyncClient | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._begun = 0
        self._answered = 0
        self._spent_until = 0.0
        self._sought: OrderedDict[int, _Sought] = OrderedDict()
        self._failing = False
        self._fetches = Counter(
            "tidings_jwks_fetches", "Fetches of the key set: good, failed", ["outcome"], registry=registry
        )
        # All workers have the same.
        HotMetrics(registry).gauge("tidings_jwks_keys", "Keys that verify tokens", lambda: len(self._keys), merged=max)
        health.set_ready(self.name, False, "no keys to verify tokens with yet")

    async def start(self) -> None:
        # Not followed: an address that is given as https must not lead anywhere else.
        self._client = httpx2.AsyncClient(follow_redirects=False, timeout=FETCH_SECONDS)
        self._begin()
        self._keeping = asyncio.create_task(self._keep(), name="keep keys fresh")

    async def stop(self) -> None:
        tasks = [task for task in (self._keeping, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def find(self, key_id: str | None, algorithm: str) -> tuple[Key, ...]:
        """The keys that may have signed a token whose header says so, one at least. Fetches for one that is not there.

        Raises RequestRejected: 401 for a key that a fetch which began after it was first asked for did not bring; 503
        without a set, and while no such fetch has answered: the key may be a new one.
        """
        sought = None
        while not (keys := candidates(self._keys, key_id, algorithm)):
            sought = sought or self._seek(key_id, algorithm)
            if sought.begun < self._answered:
                raise RequestRejected(401, "unknown_key", "the key that signed the token is not known")
            if self._fetching is None:
                if not self._keys:
                    raise self._later(FIRST_SECONDS)
                self._spend()
            fetch = await self._fetched()
            # One that had begun before says nothing of a key that was published since.
            if sought.begun < fetch and self._answered < fetch:
                raise self._later(FIRST_SECONDS)
        return keys

    def _seek(self, key_id: str | None, algorithm: str) -> _Sought:
        """When this key was first asked for. A hash stands for it, since what a token says it is may be long."""
        now = self._clock()
        name = hash((key_id, algorithm))
        sought = self._sought.pop(name, None)
        if sought is None or now - sought.since >= ABSENT_SECONDS:
            sought = _Sought(now, self._begun)
        self._sought[name] = sought
        if len(self._sought) > MAX_SOUGHT:
            self._sought.popitem(last=False)
        return sought

    def _spend(self) -> None:
        """Take one fetch out of the allowance for unknown keys. Raises RequestRejected (503) where it is used up."""
        now = self._clock()
        wait = self._spent_until - (UNKNOWN_BURST - 1) * UNKNOWN_SECONDS - now
        if wait > 0:
            raise self._later(wait)
        self._spent_until = max(self._spent_until, now) + UNKNOWN_SECONDS

    def _later(self, seconds: float) -> RequestRejected:
        """The answer to a token that nobody can judge yet: it may be good, and its client is to come again."""
        if self._keys:
            reason, detail = "key_awaited", "the key that signed the token is not known yet"
        else:
            reason, detail = "no_keys", "the keys that verify tokens are not known yet"
        return RequestRejected(503, reason, detail, math.ceil(seconds))

    async def _keep(self) -> None:
        while True:
            await self._fetched()
            await asyncio.sleep(REFRESH_SECONDS if self._keys else FIRST_SECONDS)

    async def _fetched(self) -> int:
        """Return when a fetch is over, the one under way or a new one, and which. Whoever goes away does not end it."""
        fetching, number = self._fetching or self._begin(), self._begun
        await asyncio.shield(fetching)
        return number

    def _begin(self) -> asyncio.Task[None]:
        self._begun += 1
        self._fetching = asyncio.create_task(self._fetch(self._begun), name="fetch keys")
        return self._fetching

    async def _fetch(self, number: int) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = read_key_set(await self._read())
        except (httpx2.HTTPError, KeysError, TimeoutError) as error:
            self._fetches.labels("failed").inc()
            if not self._failing:
                self._failing = True
                reason = str(error) or type(error).__name__
                _log.warning("key set not fetched", host=self._host, reason=reason, keys_kept=len(self._keys))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the fetching
            self._fetches.labels("failed").inc()
            _log.exception("key set not fetched", host=self._host, error=repr(error))
        else:
            self._answered = number
            self._fetches.labels("good").inc()
            self._failing = False
            self._health.set_ready(self.name, True)
            _log.info("key set fetched", host=self._host, keys=len(self._keys))
        finally:
            self._fetching = None

    async def _read(self) -> bytes:
        if self._client is None:
            raise KeysError("is not fetched yet")
        body = bytearray()
        # Uncompressed: what is compressed has no size that could be bounded before it is there.
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status_code != httpx2.codes.OK:
                raise KeysError(f"was answered with {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise KeysError(f"is longer than {MAX_BYTES} bytes")
        return bytes(body)
