"""What is expected here is what browsers show (WHATWG Encoding Standard), unless it says otherwise."""

from __future__ import annotations

import pytest

from tidings.webmail.mail.charsets import PIECE, declared_in_html, decode

VENDORS = "①㈱髙橋 ﾃｽﾄ"


def row_and_cell(character: str) -> bytes:
    """JIS X 0208 of a character, from code page 932."""
    lead, trail = character.encode("cp932")
    row = (lead - (0x70 if lead < 0xA0 else 0xB0)) * 2
    if trail >= 0x9F:
        return bytes((row, trail - 0x7E))
    return bytes((row - 1, trail - (0x20 if trail > 0x7F else 0x1F)))


@pytest.mark.parametrize(
    ("label", "data", "text"),
    [
        ("iso-8859-1", b"It\x92s \x80 5", "It’s € 5"),
        ("ISO8859-1", b"\x93x\x94", "“x”"),
        ("latin1", b"\x96", "–"),
        ("iso_8859-15", b"\xa4", "€"),
        ("windows1252", b"\x80", "€"),
        ("cp-1251", "Привет".encode("cp1251"), "Привет"),
        ("gb2312", "朱镕基".encode("gbk"), "朱镕基"),
        ("gbk", "𠮷".encode("gb18030"), "𠮷"),
        ("x-sjis", "①ｱ".encode("cp932"), "①ｱ"),
        ("windows-874", "ก".encode("cp874"), "ก"),
        ("tis-620", b"\x80", "€"),
        ("iso-8859-8-i", "שלום".encode("iso8859-8"), "שלום"),
        ("ks_c_5601-1987", "뷁".encode("cp949"), "뷁"),
        ("big5", "㗎".encode("big5hkscs"), "㗎"),
        ("koi8-r", "Я".encode("koi8-r"), "Я"),
        ("x-mac-cyrillic", "Я".encode("mac-cyrillic"), "Я"),
        ("utf-16", "x".encode("utf-16-le"), "x"),
        ('"utf-8"', "é".encode(), "é"),
        ("utf-8*en", "é".encode(), "é"),
        ("utf-8 (Unicode)", "é".encode(), "é"),
        # Given up by the web, not by mail.
        ("utf-7", b"+AOk-", "é"),
        ("hz-gb-2312", b"~{Dc~}", "你"),
        ("iso-2022-kr", b"\x1b$)C\x0eGQ\x0f", "한"),
        ("ibm850", b"\x84", "ä"),
    ],
)
def test_labels_mean_what_they_do_on_the_web(label: str, data: bytes, text: str) -> None:
    assert decode(data, label) == (text, True)


@pytest.mark.parametrize("label", [None, "", "us-ascii", "ASCII", "unknown-8bit", " ' "])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("für Köln – ✓".encode(), "für Köln – ✓"),
        (b"It\x92s", "It’s"),
        (b"\x1b$B4A;z\x1b(B", "漢字"),
        (b"\xef\xbb\xbfx", "x"),
        ("x\u2713".encode("utf-16"), "x\u2713"),
        (b"", ""),
    ],
)
def test_what_nobody_has_named_is_what_it_looks_like(label: str | None, data: bytes, text: str) -> None:
    assert decode(data, label) == (text, True)


@pytest.mark.parametrize(
    "label",
    ["punycode", "idna", "rot13", "unicode_escape", "zlib", "x-user-defined", "iso-2022-cn", "nonsense", "x" * 5000],
)
def test_other_charsets_are_not_known(label: str) -> None:
    assert decode(b"It\x92s", label) == ("It’s", False)
    assert decode("é".encode(), label) == ("é", False)


def test_the_vendors_characters_of_japanese_mail_are_read() -> None:
    kanji, kana = VENDORS.split()
    jis = b"".join(map(row_and_cell, kanji))
    stream = b"\x1b$B" + jis + b"\x1b(B \x1b(I" + bytes(byte & 0x7F for byte in kana.encode("cp932")) + b"\x1b(B"
    assert decode(stream, "iso-2022-jp").text == VENDORS
    assert decode(stream, None).text == VENDORS
    assert decode(bytes(byte | 0x80 for byte in jis), "euc-jp").text == kanji


def test_what_is_no_japanese_is_not_read_as_such_to_the_end() -> None:
    assert decode(b"\xff" * PIECE * 2, "iso-2022-jp").text == "\ufffd" * PIECE * 2


def test_a_text_that_is_cut_ends_with_a_whole_character() -> None:
    assert decode("né".encode()[:-1], "utf-8", cut=True).text == "n"
    assert decode("né".encode()[:-1], "utf-8").text == "n\ufffd"
    assert decode("né".encode()[:-1], None, cut=True).text == "n"


def test_nothing_is_left_that_cannot_go_on() -> None:
    assert decode(b"a\0b", "utf-8").text == "ab"
    decode(b"+2AA-", "utf-7").text.encode()


@pytest.mark.parametrize(
    ("document", "charset"),
    [
        (b'<html><head><META CHARSET="iso-8859-1">', "iso-8859-1"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>", "koi8-r"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta name=viewport><p>charset=x", None),
        (b" " * 5000 + b"<meta charset=koi8-r>", None),
    ],
)
def test_a_document_may_name_its_charset_at_its_beginning(document: bytes, charset: str | None) -> None:
    assert declared_in_html(document) == charset
