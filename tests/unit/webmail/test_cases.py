"""Mail that was shown wrong once. The files are in `cases`, each of a kind; what is right is here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidings.webmail.mail.reading import attached_mail, content_of, summary_of, whole
from tidings.webmail.mail.source import Bytes

CASES = Path(__file__).parent / "cases"
NINE = datetime(2026, 11, 29, 9, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Right:
    """What is to be shown. `texts` are the beginnings of the parts, in order."""

    subject: str
    texts: tuple[str, ...]
    sender: str = "Ann"
    date: float | None = NINE
    snippet: str | None = None
    html: bool = False
    attachments: tuple[str, ...] = ()


RIGHT = {
    "01-raw-utf8-from": Right("01 Grüße (raw UTF-8 headers)", ("the list shows",), sender="Zoë Müller", date=None),
    "02-new-emoji-zwnj": Right(
        "02 \U0001fa77 \U0001fae8 \U0001f468\u200d\U0001f469\u200d\U0001f467 "
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ("pink heart",),
    ),
    "03-date-minus-zero": Right("03 sent 09:00 UTC (-0000)", ("x\n",)),
    "04-us-ascii-utf8": Right("04 cron in the C locale", ("Sicherung für Köln – fertig ✓",)),
    "05-latin1-is-1252": Right("05 It’s € 5", ("It’s “quoted” – € 5…",)),
    "06-gb2312-is-gbk": Right("06 gb2312", ("朱镕基",)),
    "08-forwarded-as-attachment": Right(
        "08 is this phishing? (outer text)",
        ("OUTER: do not pay, see the attached mail.",),
        snippet="OUTER: do not pay, see the attached mail.",
        attachments=("phish.eml",),
    ),
    "09-text-then-html-file": Right(
        "09 report attached",
        ("OUTER: the report is attached, please sign by Friday.",),
        attachments=("report.html",),
    ),
    "10-three-text-parts": Right(
        "10 text, picture, text", ("PART ONE", "PART TWO, which nobody sees"), attachments=("a.png",)
    ),
    "11-multipart-without-boundary": Right(
        "11 Delivery Status Notification",
        ("Your message could not be delivered.",),
        sender="mailer-daemon@x.example",
        date=None,
    ),
    "12-space-before-colon": Right("12 all headers after X-Scanner are lost", ("body",), date=None),
    "13-20k-headers-before-subject": Right("13 late subject", ("x",), snippet="x"),
    "14-filename-encoded-word": Right("14 attachment name", ("x",), attachments=("Prüfung.pdf", "März.pdf")),
    "15-format-flowed": Right(
        "15 format=flowed",
        ("This paragraph was wrapped by the sender's program at a width that has nothing to do with this window.",),
    ),
    "16-meta-charset": Right("16 html without charset parameter", ("<html>",), snippet="café über", html=True),
    "20-leading-blank-line": Right("20 blank line first", ("body",)),
    "21-base64-list-footer": Right(
        "21 base64 and a list's footer",
        ("The body, thirty bytes exactly\n_______________________________________________\nmembers mailing list",),
    ),
    "22-html-only": Right("22 html only", ("<p>",), snippet="The list shows nothing of this", html=True),
    "23-bare-cr": Right("23 bare CR", ("line one\nline two\n",), sender="a@x.example", date=None),
    "24-1500-lines-with-dashes": Right(
        "24 SQL in a multipart", ("-- row 0\n-- row 1\n",), sender="a@x.example", date=None, attachments=("a.pdf",)
    ),
}


def test_every_case_is_told() -> None:
    assert {path.stem for path in CASES.iterdir()} == set(RIGHT)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_it_is_shown_right(name: str, newline: bytes) -> None:
    right = RIGHT[name]
    source = Bytes((CASES / f"{name}.eml").read_bytes().replace(b"\n", newline))
    summary, content = summary_of(source), content_of(whole(source))
    assert (summary.subject, summary.sender, summary.date) == (right.subject, right.sender, right.date)
    assert content.subject == right.subject
    assert content.sender.startswith(right.sender)
    assert len(content.shown) == len(right.texts)
    for part, text in zip(content.shown, right.texts, strict=True):
        assert part.html is right.html
        assert part.content.startswith(text)
    assert summary.snippet.startswith(right.snippet or right.texts[0].split("\n")[0][:40])
    assert tuple(attachment.name for attachment in content.attachments) == right.attachments
    assert content.notes == ()


def test_the_attached_mail_is_somebody_elses_words() -> None:
    outer = whole(Bytes((CASES / "08-forwarded-as-attachment.eml").read_bytes()))
    (attachment,) = content_of(outer).attachments
    inner = attached_mail(outer, attachment.part)
    assert inner is not None
    content = content_of(inner)
    assert content.sender == "Mallory <m@y.example>"
    assert "INNER HTML" in content.shown[0].content


def test_fifteen_hundred_lines_are_all_there() -> None:
    (part,) = content_of(whole(Bytes((CASES / "24-1500-lines-with-dashes.eml").read_bytes()))).shown
    assert part.content.split("\n") == [*(f"-- row {number}" for number in range(1500)), "END"]
