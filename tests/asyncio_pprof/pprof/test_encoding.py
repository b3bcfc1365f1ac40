from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncio_pprof.pprof.encoding import MAPPING_LIMIT, MAPPING_START, Encoder, address, varint
from asyncio_pprof.pprof.profile import CPU, GOROUTINE, HEAP, Frame, Profile
from tests.support.pprof import decode, packed

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
frames = st.builds(Frame, texts, texts, st.integers(0, 2**31), st.integers(0, 2**31))
stacks = st.lists(frames, min_size=1, max_size=6).map(tuple)
labels = st.lists(st.tuples(texts, texts), max_size=2).map(tuple)
numbers = st.integers(-(2**63), 2**63 - 1)


def encoded(profile: Profile) -> bytes:
    encoder = Encoder(profile.kind, "program")
    for (stack, label), values in profile.samples.items():
        encoder.add(stack, label, values)
    return encoder.finish(profile)


@given(numbers)
def test_numbers_are_what_they_were(value: int) -> None:
    assert packed(varint(value), signed=True) == [value]


def place(frame: Frame) -> tuple[str, str, int]:
    return frame.function, frame.file, frame.line


@given(
    st.dictionaries(st.tuples(stacks, labels), st.tuples(numbers, numbers), max_size=8),
    st.integers(0, 2**62),
    st.lists(texts, max_size=2, unique=True),
)
def test_what_is_decoded_is_what_was_encoded(
    samples: dict[tuple[tuple[Frame, ...], tuple[tuple[str, str], ...]], tuple[int, ...]],
    time: int,
    comments: list[str],
) -> None:
    # A place in the code begins at one line only.
    starts: dict[tuple[str, str], int] = {}
    samples = {
        (tuple(frame._replace(start=starts.setdefault(frame[:2], frame.start)) for frame in stack), label): values
        for (stack, label), values in samples.items()
    }
    profile = decode(encoded(Profile(CPU, samples, time, 5, tuple(comments))))
    assert profile.types == [("samples", "count"), ("cpu", "nanoseconds")]
    assert profile.period == ("cpu", "nanoseconds", 10_000_000)
    assert (profile.time, profile.duration, profile.comments) == (time, 5, comments)
    assert profile.samples == {(tuple(map(place, stack)), label): values for (stack, label), values in samples.items()}


def test_a_profile_without_samples_is_one() -> None:
    profile = decode(encoded(Profile(HEAP, {}, 0)))
    assert profile.samples == {}
    assert profile.default == "inuse_space"
    assert profile.period == ("space", "bytes", 1)


@given(frames)
def test_addresses_are_in_the_mapping(frame: Frame) -> None:
    assert MAPPING_START <= address(frame) < MAPPING_LIMIT


def test_an_address_stays_what_it_is() -> None:
    """Profiles of other processes and versions are compared by it."""
    assert address(Frame("module.function", "/module.py", 1, 2)) == 0x6B3BCE9EBBDDD433


def test_the_encoder_knows_its_frames() -> None:
    encoder = Encoder(GOROUTINE, "program")
    frame = Frame("f", "f.py", 1, 2)
    encoder.add((frame, frame), (), (1,))
    assert list(encoder.frames()) == [frame]
