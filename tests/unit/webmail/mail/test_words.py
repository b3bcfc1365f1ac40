from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.webmail.mail import words
from tidings.webmail.mail.words import MAX_PARAMETERS, SHOWN_CHARS


def shown(raw: bytes) -> str:
    return words.shown(words.text_of(raw))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?B?8J+ptw==?=", "\U0001fa77"),
        (b"=?iso-8859-1?Q?It=92s_=80_5?=", "It’s € 5"),
        (b"=?UTF-8*en?Q?x?=", "x"),
        (b"a =?utf-8?q?b?= c", "a b c"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= and =?utf-8?q?b?=", "a and b"),
        (b"=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "aé"),
        # Cut within a character, and once by each encoding.
        (b"=?utf-8?b?w6TD?= =?utf-8?b?tg==?=", "äö"),
        (b"=?utf-8?q?=C3?= =?utf-8?B?tg?=", "ö"),
        # Not allowed, and sent.
        (b"=?utf-8?q?what? for you?=", "what? for you"),
        (b"=?utf-8?b?eA?=", "x"),
        (b"x=?utf-8?q?y?=z", "xyz"),
        (b"=?nonsense?q?x?=", "x"),
        (b"=?utf-8?x?y?=", "=?utf-8?x?y?="),
        (b"=?utf-8?q?no end", "=?utf-8?q?no end"),
        ("Zoë".encode(), "Zoë"),
        ("Zoë".encode("cp1252"), "Zoë"),
        (b"one\r\n two\n\tthree", "one two three"),
        (b"a\x1b[31m\x00b\r", "a [31mb"),
        ("\u202etxt.exe".encode(), "txt.exe"),
        ("a\u2028b\u0085c".encode(), "a b c"),
        (
            "👨\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u200f!".encode(),
            "👨\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u200f!",
        ),
        ("\U000e0067 \ue000".encode(), "\U000e0067 \ue000"),
    ],
)
def test_a_field_is_shown_on_one_line(raw: bytes, text: str) -> None:
    assert shown(raw) == text


def test_what_is_cut_says_so() -> None:
    assert shown(b"x" * SHOWN_CHARS) == "x" * SHOWN_CHARS
    assert shown(b"x" * (SHOWN_CHARS + 1)) == "x" * (SHOWN_CHARS - 1) + "…"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Zoë Müller <zoe@x.example>".encode(), "Zoë Müller"),
        (b"=?utf-8?q?Zo=C3=AB=2C?= Ann <zoe@x.example>", "Zoë, Ann"),
        (b'"Ann \\"A.\\" B" <a@x.example>', 'Ann "A." B'),
        (b'"=?utf-8?q?Zo=C3=AB?=" <zoe@x.example>', "Zoë"),
        (b"Jones, Bob <b@x.example>", "Jones, Bob"),
        (b"a@x.example, Bob <b@x.example>", "a@x.example"),
        (b'"a@x.example" <b@x.example>', "a@x.example"),
        (b"<a@x.example>", "a@x.example"),
        (b"a@x.example", "a@x.example"),
        (b"a@x.example (Ann)", "Ann"),
        (b"no address", "no address"),
        (b"no address;", "no address;"),
        (b"", ""),
        (b"(" * 5000, "(" * (SHOWN_CHARS)),
    ],
)
def test_a_sender_is_shown_by_name_else_by_address_else_as_written(raw: bytes, name: str) -> None:
    assert words.sender_name(words.text_of(raw)) == name


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("Sun, 29 Nov 2026 09:00:00 +0000", 9),
        ("Sun, 29 Nov 2026 09:00:00 -0000", 9),
        ("Sun, 29 Nov 2026 09:00:00 +0100 (CET)", 8),
        ("29 Nov 26 09:00 GMT", 9),
        ("Sun, 29 Nov 2026 09:00:00 EST", 14),
        ("Sun, 29 Nov 2026 09:00:00 CET", 8),
        ("Sun, 29 Nov 2026 09:00:00 JST (Japan)", 0),
        ("Sun, 29 Nov 2026 09:00:00 XYZ", 9),
        ("Sun, 29 Nov 2026 09:00:00", 9),
        ("Sun Nov 29 09:00:00 2026", 9),
        ("(c) Sun, 29 Nov 2026 (c) 09 : 00 : 00 +0000", 9),
        ("29 Nov 2026 09:00:00.123 +0000", 9),
        ("Sun, 29 Nov 2026 09:00:00 +01:00", 8),
        ("Sun, 29 Nov 2026 09:00:00 GMT+0130", 7.5),
        ("Sun, 29 Nov 2026 09:00:00 UTC-0200", 11),
        ("Sun, 29 Nov 126 09:00:00 GMT", 9),
        ("2026-11-29T09:00:00Z", 9),
        ("2026-11-29 09:00:00+01:00", 8),
        ("2026-11-29 09:00:00", 9),
    ],
)
def test_a_date_does_not_depend_on_where_it_is_read(text: str, hour: float) -> None:
    assert words.date_of(text) == datetime(2026, 11, 29, tzinfo=UTC).timestamp() + hour * 3600


@pytest.mark.parametrize(
    "text", ["", "never", "(", "29 Nov", "2026-11-31T09:00:00Z", "1 Jan 99999999999999 00:00:00 +0000", "()()"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert words.date_of(text) is None


@pytest.mark.parametrize(
    ("text", "main", "parameters"),
    [
        ("text/plain; charset=utf-8", "text/plain", {"charset": "utf-8"}),
        ('TEXT/HTML;Charset="a\\"b;c"; x = y', "text/html", {"charset": 'a"b;c', "x": "y"}),
        ("text/plain; a=1; a=2", "text/plain", {"a": "1"}),
        ("attachment; filename=my file.pdf; x=1", "attachment", {"filename": "my file.pdf", "x": "1"}),
        ('x; filename="=?utf-8?B?UHLDvGZ1bmcucGRm?="', "x", {"filename": "Prüfung.pdf"}),
        ("x; filename==?iso-8859-1?Q?M=E4rz.pdf?=", "x", {"filename": "März.pdf"}),
        ("x; filename=Prüfung.pdf", "x", {"filename": "Prüfung.pdf"}),
        ("x; filename*=utf-8'de'Pr%C3%BCfung.pdf; filename=other", "x", {"filename": "Prüfung.pdf"}),
        ("x; filename*=iso-8859-1''M%E4rz%80", "x", {"filename": "März€"}),
        ("x; filename*1*=%BCf.pdf; filename*0*=utf-8''Pr%C3", "x", {"filename": "Prüf.pdf"}),
        ("x; filename*0=a; filename*1=b", "x", {"filename": "ab"}),
        ("x; filename*0*=utf-8''a%20; filename*1=b%20c", "x", {"filename": "a b%20c"}),
        ("x; filename*=no%20charset", "x", {"filename": ""}),
        ("x; a*b*c=1", "x", {"a*b*c": "1"}),
        ('x; a="no end; b=c', "x", {"a": "no end; b=c"}),
        ("x;;; =; a; b=", "x", {"b": ""}),
        ("text/plain (a comment); a=1", "text/plain", {"a": "1"}),
        ("", "", {}),
    ],
)
def test_parameters_as_mailers_write_them(text: str, main: str, parameters: dict[str, str]) -> None:
    assert words.read_value(text) == (main, parameters)


def test_parameters_are_counted() -> None:
    text = "x" + "".join(f"; a{number}=b" for number in range(MAX_PARAMETERS + 5))
    assert len(words.read_value(text).parameters) == MAX_PARAMETERS


PIECES = st.sampled_from(
    [
        *"ab@<>\"(),;:=?/ \\\t%*'é\udcff\n\r",
        "=?utf-8?",
        "q?",
        "b?",
        "?=",
        "*0*=",
        "filename",
        "29",
        "Nov",
        "2026",
        "09:00",
        "+01",
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_anything_is_read(text: str) -> None:
    raw = text.encode("utf-8", "surrogateescape")
    line = words.text_of(raw)
    for made in (words.shown(line), words.sender_name(line), *words.read_value(line).parameters.values()):
        made.encode()
    words.date_of(line)
    assert not set(shown(raw)) & set("\n\r\t\0")
