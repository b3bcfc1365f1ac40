"""The words of an HTML document's beginning, for a line in a list. Pure."""

from __future__ import annotations

import html
import re
from typing import Final

_UNSEEN: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(style|script|title|template)\b.*?(?:</\1\b[^>]*>?|\Z)", re.DOTALL | re.IGNORECASE
)
_APART: Final = re.compile(
    r"</?(?:p|div|br|tr|t[dh]|li|[uod]l|h[1-6]|hr|table|blockquote|section|pre)\b", re.IGNORECASE
)
_TAG: Final = re.compile(r"<[a-z/!?][^>]*+>?", re.IGNORECASE)


def words_of(document: str) -> str:
    """What a reader would see of it, without the markup. A beginning of a document will do."""
    seen = _APART.sub(r" \g<0>", _UNSEEN.sub("", document))
    return html.unescape(_TAG.sub("", seen))
