from __future__ import annotations

import pytest

from tidings.ops.settings.values import networks, plain_text, split_list


def test_lists_are_repeated_or_separated_by_commas() -> None:
    assert split_list("a, b,,c ") == ["a", "b", "c"]
    assert split_list(["a", "b, c"]) == ["a", "b", "c"]
    assert split_list("") == []
    assert split_list(7) == 7
    assert networks(7) == 7


def test_text_has_no_white_space_around_it() -> None:
    assert plain_text(" a b\n") == "a b"
    for text in ("", " \t\n"):
        with pytest.raises(ValueError, match="is empty"):
            plain_text(text)
    for text in ("a\nb", "a\0b", "a\x7fb"):
        with pytest.raises(ValueError, match="control character"):
            plain_text(text)
