"""The key set of an identity provider, fetched from its address and kept fresh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from tidings.errors import KeysError, RequestRejected
from tidings.ops.health import Health
from tidings.ops.keys import Key, read_key_set

MAX_BYTES: Final = 64 * 1024
FETCH_SECONDS: Final = 5.0
REFRESH_SECONDS: Final = 300.0
FIRST_SECONDS: Final = 5.0
"""Between attempts while no set has been fetched yet: nobody can be let in."""
UNKNOWN_SECONDS: Final = 60.0
"""Tokens that name an unknown key have the set fetched at most this often: anybody can make such tokens."""

_log = structlog.get_logger()


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
        self._client: httpx.AsyncClient | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._begun = 0.0
        self._failing = False
        self._fetches = Counter(
            "tidings_jwks_fetches", "Fetches of the key set, by outcome: good, failed", ["outcome"], registry=registry
        )
        gauge = Gauge("tidings_jwks_keys", "Keys that tokens can be verified with", registry=registry)
        gauge.set_function(lambda: len(self._keys))
        health.set_ready(self.name, False, "no keys to verify tokens with yet")

    async def start(self) -> None:
        """Fetch, and go on fetching."""
        # Not followed: an address that is given as https must not lead anywhere else.
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=FETCH_SECONDS)
        self._keeping = asyncio.create_task(self._keep(), name="keep keys fresh")

    async def stop(self) -> None:
        """Fetch no more."""
        tasks = [task for task in (self._keeping, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def find(self, key_id: str | None) -> Key:
        """The key that a token names; one that names none means the only key.

        Raises RequestRejected: 401 for a key that is not in the set, also not in one fetched anew, 503 without a set.
        """
        key = self._match(key_id)
        if key is None and (self._fetching is not None or self._clock() - self._begun >= UNKNOWN_SECONDS):
            await self._fetched()
            key = self._match(key_id)
        if key is not None:
            return key
        if not self._keys:
            raise RequestRejected(503, "no_keys", "the keys to verify tokens with are not known yet", 5)
        raise RequestRejected(401, "unknown_key", "the token is signed with a key that is not known here")

    def _match(self, key_id: str | None) -> Key | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.id == key_id), None)

    async def _keep(self) -> None:
        while True:
            await self._fetched()
            await asyncio.sleep(REFRESH_SECONDS if self._keys else FIRST_SECONDS)

    async def _fetched(self) -> None:
        """Return when a fetch is over: the one under way, or a new one. Whoever goes away does not end it."""
        if self._fetching is None:
            self._begun = self._clock()
            self._fetching = asyncio.create_task(self._fetch(), name="fetch keys")
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = read_key_set(await self._read())
        except (httpx.HTTPError, KeysError, TimeoutError) as error:
            self._fetches.labels("failed").inc()
            if not self._failing:
                self._failing = True
                reason = str(error) or type(error).__name__
                _log.warning("key set not fetched", host=self._host, reason=reason, keys_kept=len(self._keys))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the fetching
            self._fetches.labels("failed").inc()
            _log.exception("key set not fetched", host=self._host, error=repr(error))
        else:
            self._fetches.labels("good").inc()
            self._failing = False
            self._health.set_ready(self.name, True)
            _log.info("key set fetched", host=self._host, keys=len(self._keys))
        finally:
            self._fetching = None

    async def _read(self) -> bytes:
        if self._client is None:
            raise KeysError("is not asked for yet")
        body = bytearray()
        # Uncompressed: what is compressed has no size that could be bounded before it is there.
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                raise KeysError(f"is answered {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise KeysError(f"is longer than {MAX_BYTES} bytes")
        return bytes(body)
