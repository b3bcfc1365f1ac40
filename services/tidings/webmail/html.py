"""Message HTML made harmless. Pure.

The frame that shows a mail runs no script and has no origin (`sandbox`), and the policy of its document allows no
request. That leaves what Chromium does before it consults the policy: for a nested frame it opens a connection to
the frame's host, which tells a tracker that the mail was read. So the elements that load or redirect documents
are renamed, which makes them elements without a meaning.

Renaming needs no HTML parser: a start tag begins with `<` and the element's name, literally, or it is none. It
takes linear time, where parsers that mend markup as browsers do take minutes and gigabytes on small hostile mails;
that work is left to the browser's tab.
"""

from __future__ import annotations

import re
from typing import Final

DOCUMENT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""Content-Security-Policy of a message document: no script, no request, links only into a new tab."""

# Before anything of the mail, so that this `base` and this character set are the ones that count.
_HEAD: Final = (
    '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Message</title>'
    '<base target="_blank">'
    "<style>html{background:#fff;color:#1b1f24;font:15px/1.5 system-ui,sans-serif}"
    "body{margin:1rem;overflow-wrap:anywhere}img{max-width:100%;height:auto}</style>"
)
_LOADING: Final = re.compile(
    r"<(/?)(?=base|embed|fencedframe|frame|iframe|link|meta|object|portal)", re.ASCII | re.IGNORECASE
)


def document(html: str) -> str:
    """A document that shows message HTML; to be served with DOCUMENT_POLICY, into a frame with a sandbox."""
    return _HEAD + _LOADING.sub(r"<\1x-", html)
