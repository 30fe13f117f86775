"""Templates and what they can say; only this module knows the template engine."""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import DictLoader, Environment, StrictUndefined

from aiotcbatch.sandbox.page import text
from aiotcbatch.sandbox.vocabulary import GROUP_BRANCHES, INDICATOR_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiotcbatch.sandbox.store.browsing import Label

__all__ = ["Asset", "Renderer", "renderer"]

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Shades that tell types apart; the style sheet has one class for each.
_SHADES = 16
_SHADE_OF = {
    **{kind.name: index * 5 % _SHADES for index, kind in enumerate(INDICATOR_TYPES)},
    **{name: index % _SHADES for index, name in enumerate(GROUP_BRANCHES)},
}
_TLP = re.compile(r"TLP[: ](RED|AMBER\+STRICT|AMBER|GREEN|CLEAR|WHITE)", re.IGNORECASE)
_COLOR = re.compile(r"[0-9A-Fa-f]{6}")


@dataclass(frozen=True, slots=True)
class Asset:
    """
    A file that the pages refer to.

    Attributes:
        body: Its bytes.
        content_type: What it is.
        tag: Changes with its content.
    """

    body: bytes
    content_type: str
    tag: str


class Renderer:
    """
    The templates and the assets, read once; making one reads files, using it does not.

    Every value is escaped by the engine. What stands between tags goes through ``shown`` as well,
    which names the characters that could not be seen.
    """

    def __init__(self) -> None:
        here = resources.files("aiotcbatch.sandbox.page")
        sources = {file.name: file.read_text("utf-8") for file in (here / "templates").iterdir()}
        self.assets = {file.name: _asset(file) for file in (here / "assets").iterdir()}
        self._templates = Environment(
            loader=DictLoader(sources),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(
            shown=text.shown,
            clip=text.clip,
            named=text.named,
            plain=text.plain,
            words=text.words,
            number=text.number,
            size=text.size,
            duration=text.duration,
            moment=text.moment,
        )
        self._templates.globals.update(
            ago=text.ago, hue=_hue, link=_link, look=_look, asset=self._address
        )
        for name in sources:
            self._templates.get_template(name)

    def page(self, template: str, context: Mapping[str, Any]) -> bytes:
        """
        Make a page.

        Args:
            template: The template's file name.
            context: What it shows.

        Returns:
            HTML in UTF-8.
        """
        made = self._templates.get_template(template).render(context)
        return made.encode("utf-8", "replace")

    def _address(self, name: str) -> str:
        """Return where an asset is; the address changes with its content."""
        return f"/assets/{name}?{self.assets[name].tag}"


@cache
def renderer() -> Renderer:
    """Return the one renderer that all sandboxes of a process share."""
    return Renderer()


def _asset(file: Any) -> Asset:
    body = file.read_bytes()
    suffix = file.name[file.name.rindex(".") :]
    return Asset(body, _CONTENT_TYPES[suffix], hashlib.sha256(body).hexdigest()[:12])


def _hue(kind: str) -> int:
    """Return the shade of a type, always the same one."""
    return _SHADE_OF.get(kind, zlib.crc32(kind.encode("utf-8", "replace")) % _SHADES)


def _look(label: Label) -> tuple[str, str]:
    """Return the class of a security label, and the colour of its dot."""
    match = _TLP.fullmatch(label.name)
    if match is not None:
        return f"tlp tlp-{match.group(1).lower().partition('+')[0]}", ""
    known = label.color is not None and _COLOR.fullmatch(label.color)
    return "custom", f"#{label.color}" if known else "#888888"


def _link(path: str, query: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """Return an address with a query in which some things are changed; "" and None leave it."""
    values = {**(query or {}), **changes}
    kept = {name: value for name, value in values.items() if value not in {"", None}}
    return f"{path}?{urlencode(kept, errors='replace')}" if kept else path
