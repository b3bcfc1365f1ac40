"""Text whose paragraphs were wrapped by the sender's program, unwrapped (format=flowed, RFC 3676 section 4). Pure."""

from __future__ import annotations

from typing import Final

_SIGNATURE: Final = "-- "


def unwrapped(text: str, *, delsp: bool) -> str:
    """The text with a line for each paragraph. `delsp`: the blank at which a line was cut is not part of it."""
    lines: list[str] = []
    paragraph: list[str] = []
    depth = 0
    for line in text.split("\n"):
        content = line.lstrip(">")
        quoted = len(line) - len(content)
        if content.startswith(" "):
            content = content[1:]
        signature = content == _SIGNATURE
        if paragraph and (quoted != depth or signature):
            # It ends as if it were fixed: what goes on here is another's.
            lines.append("".join(paragraph))
            paragraph = []
        if not paragraph and quoted:
            paragraph.append(">" * quoted + " ")
        depth = quoted
        if content.endswith(" ") and not signature:
            paragraph.append(content[:-1] if delsp else content)
        elif paragraph:
            lines.append("".join((*paragraph, content)))
            paragraph = []
        else:
            lines.append(content)
    if paragraph:
        lines.append("".join(paragraph))
    return "\n".join(lines)
