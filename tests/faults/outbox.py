"""A mail storage that tells by rows in PostgreSQL, beside those that tell over HTTP."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from psycopg import AsyncConnection, Error

from tidings.check.installation import Installation
from tidings.check.ledger import Key
from tidings.check.sender import Sender
from tidings.check.settings import CheckSettings
from tidings.errors import CheckFailed

INSERT = "INSERT INTO tidings_outbox (account, type, changed) VALUES (%s, %s, %s)"
CONNECT_SECONDS = 5


class Seen(Installation):
    """An installation one of whose publishers is an outbox, at `url`."""

    def __init__(self, settings: CheckSettings, url: str) -> None:
        super().__init__(settings)
        self.publishers = (*self.publishers, url)
        self.outbox = url

    def sender(self) -> Sender:
        return OutboxSender(self.outbox)

    def accounts_of_outbox(self) -> Sequence[str]:
        """The accounts that are told of by rows: each storage stays with one publisher."""
        return self.accounts[len(self.publishers) - 1 :: len(self.publishers)]


class OutboxSender(Sender):
    """Tells `url` by a row, which is acknowledged when it is committed, and everybody else over HTTP."""

    def __init__(self, url: str) -> None:
        super().__init__(None, ssl.create_default_context())
        self._url = url

    async def post(self, url: str, told: Mapping[str, object]) -> None:
        if url != self._url:
            return await super().post(url, told)
        data = told["data"]
        assert isinstance(data, dict)
        try:
            connection = await AsyncConnection.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
            async with connection:
                await connection.execute(INSERT, (told["subject"], told["type"], json.dumps(data["changed"])))
        except Error as error:
            raise CheckFailed(str(error)) from error


def disorder(order: Mapping[Key, Sequence[int]], accounts: Sequence[str]) -> Iterator[str]:
    """Changes of these accounts that the log has for the first time behind a later one.

    What was told before a publisher died is told again by the next one: of a number that comes again only the first
    time counts.
    """
    for key, numbers in order.items():
        if key.account in accounts:
            for earlier, later in pairwise(dict.fromkeys(numbers)):
                if later < earlier:
                    yield f"{key.account} {key.data_type}: {later} behind {earlier}"
