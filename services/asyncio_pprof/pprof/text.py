"""Profiles as text (`debug=1`), the command line, and the answers of /symbol. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from asyncio_pprof.pprof.encoding import address
from asyncio_pprof.pprof.profile import Profile

HIDDEN: Final = "xxxxx"
MAX_SYMBOLS: Final = 1_000

# Up to the last @, for a password may have one that should have been encoded. It may hide more than it has to.
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^/\s:@]*):\S*@")
_URL_PARAMETER: Final = re.compile(r"([?&][\w-]*(?:token|secret|password|key)[\w-]*=)[^&\s]*", re.I)
_SECRET_FLAG: Final = re.compile(
    r"(-[\w-]*(?:token|secret|password|passwd|credential|api-?key)[\w-]*)(?:(=).*)?$", re.I
)


def grouped(profile: Profile) -> str:
    """Every stack with its numbers, the largest first, as Go prints them."""
    kind = profile.kind
    shown = [value.name for value in kind.values].index(kind.default)
    total = sum(values[0] for values in profile.samples.values())
    lines = [f"{kind.name} profile: total {total}\n"]
    lines += [f"# {comment}\n" for comment in profile.comments]
    lines.append(f"# {' '.join(f'{value.name}/{value.unit}' for value in kind.values)} @ addresses\n")
    for (stack, labels), values in sorted(profile.samples.items(), key=lambda item: -item[1][shown]):
        lines.append(f"{' '.join(map(str, values))} @ {' '.join(f'{address(frame):#x}' for frame in stack)}\n")
        lines += [f"# {key}: {value}\n" for key, value in labels]
        lines += [f"#\t{address(frame):#x}\t{frame.function}\t{frame.file}:{frame.line}\n" for frame in stack]
        lines.append("\n")
    return "".join(lines)


def redacted(arguments: Sequence[str]) -> list[str]:
    """A command line without passwords in URLs and without the values of flags that name a secret."""
    shown: list[str] = []
    secret_follows = False
    for argument in arguments:
        if secret_follows:
            shown.append(HIDDEN)
            secret_follows = False
            continue
        match = _SECRET_FLAG.match(argument)
        if match is None:
            shown.append(_URL_PARAMETER.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", argument)))
        elif match[2]:
            shown.append(f"{match[1]}={HIDDEN}")
        else:
            shown.append(argument)
            secret_follows = True
    return shown


def symbols(asked: str, name: Callable[[int], str | None]) -> str:
    """The names of addresses, in hexadecimal and joined by `+`; unknown ones are left out, as in Go."""
    # Any number other than 0 says that there are symbols.
    lines = ["num_symbols: 1\n"]
    for part in asked.split("+", MAX_SYMBOLS)[:MAX_SYMBOLS]:
        try:
            where = int(part, 16)
        except ValueError:
            continue
        known = name(where)
        if known is not None:
            lines.append(f"{where:#x} {known}\n")
    return "".join(lines)
