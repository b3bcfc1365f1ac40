"""The request that has clients look: of some accounts, or of all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tidings.errors import EventError, Problem
from tidings.wire import jsonbody
from tidings.wire.change import EVERY_ACCOUNT, MAX_NAME_BYTES, Change, account_fault, anything_changed, text_fault

MAX_ACCOUNTS: Final = 1_000
SOURCE: Final = "/tidings/resync"


class Resync(BaseModel):
    """Whose clients resynchronise: some accounts, or everybody. Give one of both."""

    model_config = ConfigDict(strict=True, extra="forbid")

    accounts: Annotated[
        list[str],
        Field(default_factory=list, json_schema_extra={"maxItems": MAX_ACCOUNTS}, description="The accounts."),
    ]
    everybody: bool = Field(False, description="true: every account of the installation.")
    source: Annotated[str, StringConstraints(max_length=MAX_NAME_BYTES)] = Field(
        SOURCE, description="A URI reference: who asks."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.accounts) == self.everybody:
            raise ValueError('give either accounts or "everybody": true')
        return self


def parse(headers: Iterable[tuple[str, str]], body: bytes, ingested: float) -> list[Change]:
    """A change that says "anything may have changed" for each account that the request names, or for all there are.

    Raises EventError: as jsonbody.read, 413 for more than MAX_ACCOUNTS, 422 for what is none of the two.
    """
    read = jsonbody.read(headers, body)
    try:
        request = Resync.model_validate(read)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, detail["loc"])).encode("ascii", "backslashreplace").decode()[:128]
        raise EventError(422, f"{place or 'the request'}: {detail['msg'].removeprefix('Value error, ')}") from None
    if len(request.accounts) > MAX_ACCOUNTS:
        raise EventError(413, f"{len(request.accounts)} accounts, at most {MAX_ACCOUNTS} are taken at once")
    if fault := text_fault(request.source, MAX_NAME_BYTES):
        raise EventError(422, f"source: {fault}")
    faults = [(index, account_fault(account)) for index, account in enumerate(request.accounts)]
    problems = tuple(Problem(index, "accounts", fault) for index, fault in faults if fault)
    if problems:
        raise EventError(422, "nothing was taken: see problems", problems[:100])
    names = [EVERY_ACCOUNT] if request.everybody else request.accounts
    return [
        anything_changed(name, source=request.source, event_id=f"{ingested:.6f}-{index}", ingested=ingested)
        for index, name in enumerate(names)
    ]
