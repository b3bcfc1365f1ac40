"""Profiles decoded, and as `go tool pprof` sees them."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import comes_true, patient

GO_SECONDS = 100.0
"""The first time, a Go of 1.25 or later compiles the tool."""
FETCH_SECONDS = 60
"""Left to itself it gives up a few seconds after it should have had its profile: too soon on a busy machine."""

SAMPLED_SECONDS = 0.05
SAMPLING_SECONDS = 60.0

Fields = dict[int, list[int | bytes]]


def fields(message: bytes) -> Fields:
    """The fields of a message of Protocol Buffers: numbers and bytes."""
    found: Fields = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            value: int | bytes = varint()
        else:
            assert key & 7 == 2, "nothing else is in this format"
            size = varint()
            value = message[at : at + size]
            assert len(value) == size
            at += size
        found.setdefault(key >> 3, []).append(value)
    return found


def packed(value: bytes, *, signed: bool = False) -> list[int]:
    """Numbers of a packed repeated field."""
    numbers, current, shift = [], 0, 0
    for byte in value:
        current |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(current - (1 << 64) if signed and current >> 63 else current)
            current = shift = 0
    assert shift == 0
    return numbers


def one(found: Fields, field: int) -> int:
    """A number that is there once at most."""
    (value,) = found.get(field, [0])
    assert isinstance(value, int)
    return value


def messages(found: Fields, field: int) -> list[Fields]:
    return [fields(value) for value in found.get(field, []) if isinstance(value, bytes)]


@dataclass
class Decoded:
    """A profile as its strictest readers want it; anything else fails."""

    types: list[tuple[str, str]]
    period: tuple[str, str, int]
    default: str
    samples: dict[tuple[tuple[tuple[str, str, int], ...], tuple[tuple[str, str], ...]], tuple[int, ...]]
    addresses: dict[tuple[str, str, int], int]
    comments: list[str]
    time: int
    duration: int

    def top(self) -> str:
        """The innermost function of the sample with the largest last value."""
        (stack, _), _ = max(self.samples.items(), key=lambda item: item[1][-1])
        return stack[0][0]


def decode(message: bytes) -> Decoded:
    """Decode a profile, and check what Alloy, Parca and Pyroscope ask of it."""
    profile = fields(message)
    strings = [value.decode() for value in profile[6] if isinstance(value, bytes)]
    # Parca: the table begins with the empty string; ids are exactly 1 to N. And nothing is there twice.
    assert strings[0] == ""
    assert len(set(strings)) == len(strings)
    mappings, locations, functions = (messages(profile, field) for field in (3, 4, 5))
    for entries in (mappings, locations, functions):
        assert [one(entry, 1) for entry in entries] == list(range(1, len(entries) + 1))
    (mapping,) = mappings
    assert strings[one(mapping, 5)]
    # Symbolized already: nobody has to look for a binary.
    assert [one(mapping, field) for field in (7, 8, 9)] == [1, 1, 1]
    start, limit = one(mapping, 2), one(mapping, 3)
    names = [(strings[one(entry, 2)], strings[one(entry, 4)]) for entry in functions]
    assert all(name for name, _ in names)
    places = {}
    addresses = {}
    for number, location in enumerate(locations, 1):
        assert one(location, 2) == 1
        (line,) = messages(location, 4)
        place = (*names[one(line, 1) - 1], one(line, 2))
        # Alloy knows a location by nothing but its address.
        assert start <= one(location, 3) < limit
        assert place not in addresses
        places[number], addresses[place] = place, one(location, 3)
    assert len(set(addresses.values())) == len(addresses)
    types = [(strings[one(value, 1)], strings[one(value, 2)]) for value in messages(profile, 1)]
    samples: dict[tuple[tuple[tuple[str, str, int], ...], tuple[tuple[str, str], ...]], tuple[int, ...]] = {}
    for sample in messages(profile, 2):
        (ids,), (values,) = sample[1], sample[2]
        assert isinstance(ids, bytes)
        assert isinstance(values, bytes)
        stack = tuple(places[number] for number in packed(ids))
        labels = tuple((strings[one(label, 1)], strings[one(label, 2)]) for label in messages(sample, 3))
        assert stack
        assert (stack, labels) not in samples
        samples[stack, labels] = tuple(packed(values, signed=True))
        assert len(samples[stack, labels]) == len(types)
    # Pyroscope takes it for granted that there is one.
    (period,) = messages(profile, 11)
    period_type = (strings[one(period, 1)], strings[one(period, 2)])
    assert all(period_type)
    default = strings[one(profile, 14)]
    assert default in [name for name, _ in types]
    comments = [strings[number] for number in profile.get(13, []) if isinstance(number, int)]
    return Decoded(
        types,
        (*period_type, one(profile, 12)),
        default,
        samples,
        addresses,
        comments,
        one(profile, 9),
        one(profile, 10),
    )


def decompressed(body: bytes) -> Decoded:
    return decode(gzip.decompress(body))


@dataclass
class Row:
    """A line of `go tool pprof -top`."""

    flat_share: float
    cum_share: float
    name: str


class GoTool:
    """The real tool, keeping what it fetches in a directory of the test."""

    def __init__(self, directory: Path) -> None:
        executable = shutil.which("go")
        assert executable, "go is needed: install it with `apt-get install golang-go`"
        self._executable = executable
        self._environment = {**os.environ, "PPROF_TMPDIR": str(directory)}

    def output(self, *arguments: str) -> str:
        """What it prints."""
        done = subprocess.run(
            [self._executable, "tool", "pprof", f"-timeout={FETCH_SECONDS}", *arguments],
            env=self._environment,
            timeout=patient(GO_SECONDS),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def top(self, *arguments: str) -> list[Row]:
        """The functions of a profile, the largest first."""
        return list(rows(self.output("-top", "-nodefraction=0", *arguments)))

    def sampled(self, *arguments: str) -> str:
        """What it prints of a profile of CPU time that has some: a busy machine may let the program wait meanwhile."""
        printed = ""

        def has_some() -> bool:
            nonlocal printed
            printed = self.output(*arguments)
            total = re.search(r"Total samples = ([\d.]+)(ms|s)\b", printed)
            return total is not None and float(total[1]) * (0.001 if total[2] == "ms" else 1.0) >= SAMPLED_SECONDS

        assert comes_true(has_some, SAMPLING_SECONDS), printed
        return printed


def rows(printed: str) -> Iterator[Row]:
    for line in printed.splitlines():
        match = re.match(r"\s*\S+\s+(-?[\d.]+)%\s+[\d.]+%\s+\S+\s+(-?[\d.]+)%\s+(.+)$", line)
        if match:
            yield Row(float(match[1]), float(match[2]), match[3])
