"""Values made readable: what is odd in a text is named, never acted upon."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import orjson
from markupsafe import Markup, escape

__all__ = [
    "ago",
    "clip",
    "duration",
    "moment",
    "named",
    "number",
    "plain",
    "shown",
    "size",
    "words",
]

#: Characters that are invisible or move their neighbours: controls, bidirectional marks, zero-width
#: spaces, tags, halves of surrogate pairs, and code points that are no characters. Joiners stay:
#: scripts and emoji need them.
_ODD = re.compile(
    "["
    "\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f"
    "]"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def shown(text: object) -> Markup:
    """
    Return a text for a place between tags.

    Args:
        text: Anything that anybody may have sent.

    Returns:
        The text with everything escaped; a character that could not be seen, or that would turn
        its neighbours around, stands there by its number.
    """
    parts: list[str] = []
    at = 0
    value = str(text)
    for match in _ODD.finditer(value):
        parts += (
            escape(value[at : match.start()]),
            f'<span class="odd">U+{ord(match.group()):04X}</span>',
        )
        at = match.end()
    parts.append(escape(value[at:]))
    return Markup("").join(Markup(part) for part in parts)  # noqa: S704  (each was escaped above)


def named(text: object) -> str:
    """
    Return a text for a place where no tags can stand, such as the title of a page.

    Args:
        text: Anything that anybody may have sent.

    Returns:
        The text, in which odd characters stand by their number; it is not escaped.
    """
    return _ODD.sub(lambda match: f"U+{ord(match.group()):04X}", str(text))


def clip(text: object, length: int) -> str:
    """Return no more than so many characters, the last one an ellipsis if some are missing."""
    value = str(text)
    return value if len(value) <= length else f"{value[: length - 1]}…"


def plain(value: object) -> str:
    """Return a value of a JSON object as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return orjson.dumps(value).decode()


def words(name: str) -> str:
    """Return the name of a field as words: ``firstSeen`` is ``First seen``."""
    split = _HUMP.sub(" ", name)
    return f"{split[:1].upper()}{split[1:].lower()}"


def number(value: float) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,}"


def size(value: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:  # noqa: PLR2004  (units of thousands)
            return f"{value:.0f} bytes" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} GB" if value < 1000 else f"{value:,.0f} GB"  # noqa: PLR2004


def duration(seconds: float) -> str:
    """Return a time span in the unit that suits it."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def moment(seconds: float) -> str:
    """Return a moment as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(seconds: float, now: float) -> str:
    """Return how long ago something was, or its day if that was long ago."""
    passed = now - seconds
    if passed < 5:  # noqa: PLR2004  (clocks may differ by a little)
        return "just now"
    if passed < _MINUTE:
        return f"{passed:.0f} s ago"
    if passed < _HOUR:
        return f"{passed // _MINUTE:.0f} min ago"
    if passed < _DAY:
        return f"{passed // _HOUR:.0f} h ago"
    return moment(seconds)[:10]
