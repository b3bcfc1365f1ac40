from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.growth import cpu_seconds
from tidings.errors import Problem
from tidings.wire.change import DATA_TYPES, Change, account_fault, anything_changed, data_type_fault, state_fault
from tidings.wire.mailevent import read

NEW: dict[str, object] = {
    "specversion": "1.0",
    "id": "42",
    "source": "/dovecot/imap1",
    "type": "mail.MessageNew",
    "subject": "alice@example.test",
}


def change(**members: object) -> Change:
    found = read(0, {**NEW, **members}, 17.5)
    assert isinstance(found, Change), found
    return found


def fields(event: object, index: int = 0) -> list[str]:
    found = read(index, event, 0.0)
    assert isinstance(found, list), found
    assert all(problem.event == index for problem in found)
    return [problem.field for problem in found]


def test_an_event_without_states_changes_the_types_of_its_name() -> None:
    assert change() == Change(
        account="alice@example.test",
        changed={"Email": None, "Mailbox": None, "Thread": None, "EmailDelivery": None},
        event="MessageNew",
        id="42",
        source="/dovecot/imap1",
        time=None,
        ingested=17.5,
    )


@pytest.mark.parametrize("name", sorted(DATA_TYPES))
def test_every_known_event_name_is_enough(name: str) -> None:
    assert tuple(change(type=f"mail.{name}").changed) == DATA_TYPES[name]


def test_that_anything_may_have_changed_needs_no_states_and_takes_none() -> None:
    found = change(type="mail.accountchanged", time="1970-01-01T00:00:09Z", data={"changed": {"Quota": "7"}})
    assert found == anything_changed(
        "alice@example.test", source="/dovecot/imap1", event_id="42", ingested=17.5, time=9.0
    )


@pytest.mark.parametrize("name", ["MailboxUnsubscribe", "mailboxunsubscribe", "MAILBOXUNSUBSCRIBE"])
def test_event_names_compare_without_case_and_are_kept_as_rfc_5423_spells_them(name: str) -> None:
    found = change(type=f"mail.{name}")
    assert found.event == "MailboxUnSubscribe"
    assert found.changed == {"Mailbox": None}


def test_names_of_others_keep_their_spelling() -> None:
    assert change(type="mail.messageMOVE", data={"changed": {"Email": None}}).event == "messageMOVE"


def test_states_win_over_the_event_name() -> None:
    data = {"changed": {"Email": "s1", "CalendarEvent": None}, "snippet": "secret", "from": {"a": [1]}}
    assert change(data=data).changed == {"Email": "s1", "CalendarEvent": None}


def test_an_unknown_event_name_with_types_is_taken() -> None:
    assert change(type="mail.vnd.cmu.MessageMove", data={"changed": {"Email": None}}).event == "vnd.cmu.MessageMove"


def test_an_unknown_event_name_alone_is_refused() -> None:
    assert read(3, {**NEW, "type": "mail.Login"}, 0.0) == [
        Problem(3, "data.changed", "is required: the data types that Login changes are not known")
    ]


@pytest.mark.parametrize("data", [None, "text", 5, ["changed"], {}, {"other": {"Email": 1}}])
def test_other_data_is_dropped(data: object) -> None:
    assert change(data=data) == change()


def test_extension_attributes_are_accepted() -> None:
    assert change(traceparent="00-0af7", sequence="0001", dataschema="x:y", nested={"a": 1}) == change()


def test_a_null_attribute_is_an_unset_one() -> None:
    assert change(time=None) == change()
    assert fields({**NEW, "subject": None}) == ["subject"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01t00:00:01.25z", 1.25),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:00.123456789Z", 0.123456),
        ("2016-12-31T23:59:60Z", 1483228799.0),
        ("0001-01-01T00:00:00+14:00", -62135647200.0),
        ("0001-01-01T00:00:00Z", -62135596800.0),
        ("0000-12-31T23:59:59Z", -62135596801.0),
        ("0000-02-29T00:00:00Z", -62135596800.0 - 307 * 86_400),
        ("9999-12-31T23:59:59-23:59", 253402387139.0),
    ],
)
def test_time_is_rfc_3339(text: str, seconds: float) -> None:
    assert change(time=text).time == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:01:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01",
        "٢٠٢٦-01-01T00:00:00Z",
        0,
        1.5,
        True,
        [],
        f"2026-01-01T00:00:00.{'1' * 60}Z",
    ],
)
def test_any_other_time_is_refused(text: object) -> None:
    assert fields({**NEW, "time": text}) == ["time"]


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject"])
@pytest.mark.parametrize("value", ["", 7, [], {}, True, "\x00", "\ud800", "x" * 1025])
def test_a_required_attribute_is_checked(name: str, value: object) -> None:
    assert fields({**NEW, name: value}, index=5) == [name]


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject"])
def test_a_missing_attribute_is_named(name: str) -> None:
    event = {key: value for key, value in NEW.items() if key != name}
    assert read(2, event, 0.0) == [Problem(2, name, "is required")]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"specversion": "0.3"}, Problem(0, "specversion", "must be '1.0'")),
        ({"specversion": 1.0}, Problem(0, "specversion", "must be '1.0'")),
        ({"id": ""}, Problem(0, "id", "must not be empty")),
        ({"id": "é" * 513}, Problem(0, "id", "must be at most 1024 bytes of UTF-8")),
        ({"source": "a\nb"}, Problem(0, "source", "must not contain control characters")),
        ({"subject": "a/b"}, Problem(0, "subject", "must not contain '/'")),
        ({"subject": "a" * 256}, Problem(0, "subject", "must be at most 255 bytes of UTF-8")),
        (
            {"type": "com.example.MessageNew"},
            Problem(0, "type", "must be 'mail.' and an RFC 5423 event name, such as mail.MessageNew"),
        ),
        ({"data": {"changed": {}}}, Problem(0, "data.changed", "must name a data type")),
        (
            {"data": {"changed": {f"T{number}": None for number in range(33)}}},
            Problem(0, "data.changed", "must name at most 32 data types"),
        ),
        ({"data": {"changed": None}}, Problem(0, "data.changed", "must be an object of data types and states")),
        ({"data": {"changed": ["Email"]}}, Problem(0, "data.changed", "must be an object of data types and states")),
        ({"data": {"changed": {"Email": 5}}}, Problem(0, "data.changed.Email", "must be a string")),
        ({"data": {"changed": {"Email": ""}}}, Problem(0, "data.changed.Email", "must not be empty")),
        (
            {"data": {"changed": {"Email": "x" * 256}}},
            Problem(0, "data.changed.Email", "must be at most 255 bytes of UTF-8"),
        ),
        (
            {"data": {"changed": {"1": None}}},
            Problem(0, "data.changed.1", "must be a JMAP data type name: a letter, then letters, digits or '_.:-'"),
        ),
    ],
)
def test_what_is_wrong_is_said(members: dict[str, object], problem: Problem) -> None:
    assert read(0, {**NEW, **members}, 0.0) == [problem]


class Unread(dict[str, object]):
    """Fails whoever looks at a member."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("looked at")

    items = keys = values = __iter__  # type: ignore[assignment]


def test_of_too_many_data_types_none_is_looked_at() -> None:
    changed = Unread({str(number): number for number in range(70_000)})
    assert read(0, {**NEW, "data": {"changed": changed}}, 0.0) == [
        Problem(0, "data.changed", "must name at most 32 data types")
    ]


def seconds(text: str) -> float:
    """How long an event is looked at whose every text is this one, at the best."""
    event = {**dict.fromkeys(NEW, text), "time": text, "data": {"changed": {text: text}}}
    return cpu_seconds([lambda: read(0, event, 0.0)] * 5)


@pytest.mark.parametrize("text", ["x", "é", "\x00", "1", ".", "mail."])
def test_what_is_too_long_is_refused_for_its_length(text: str) -> None:
    """The first million characters are not looked at."""
    assert seconds(text * 1_000_000) < 10 * seconds(text * 2_000) + 0.005


def test_32_data_types_are_taken() -> None:
    assert len(change(data={"changed": {f"T{number}": None for number in range(32)}}).changed) == 32


def test_every_problem_of_an_event_is_told() -> None:
    event = {"specversion": "2", "id": "", "source": 5, "type": "x", "time": "now", "data": {"changed": {"Email": 1}}}
    assert fields(event) == ["specversion", "id", "source", "type", "subject", "time", "data.changed.Email"]


def test_a_field_never_repeats_long_or_unprintable_keys() -> None:
    found = fields({**NEW, "data": {"changed": {"x" * 5000: None, "é\n\ud800": None}}})
    assert len(found[0]) == 128
    assert found[1].isascii()


@pytest.mark.parametrize("event", [None, 5, "text", [NEW], True])
def test_an_event_is_an_object(event: object) -> None:
    assert read(1, event, 0.0) == [Problem(1, "", "must be a JSON object")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*NEW, "time", "data", "ext", "\ud800"]), json_values))
def test_whatever_comes_is_a_change_within_bounds_or_problems(members: dict[str, object]) -> None:
    for event in (members, {**NEW, **members}, {**NEW, "data": {"changed": members}}):
        found = read(0, event, 0.0)
        if isinstance(found, Change):
            assert account_fault(found.account) is None
            assert all(data_type_fault(name) is None for name in found.changed)
            assert all(state is None or state_fault(state) is None for state in found.changed.values())
        else:
            assert found
            assert all(problem.field.isascii() for problem in found)
