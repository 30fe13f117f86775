"""Reading HTML as a browser would, as far as tests need it; and values that hope to be more."""

from __future__ import annotations

from html.parser import HTMLParser

#: What may be sent as any name, value or id, and must be shown as the text that it is.
HOSTILE = {
    "script": "<script>window.owned = 1</script>",
    "handler": "<img src=x onerror='window.owned = 1'>",
    "attribute": '" onmouseover="window.owned = 1" autofocus onfocus=\'window.owned = 1',
    "closing": "</title></textarea></select></bdi><svg/onload=window.owned=1>",
    "template": "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7 %>",
    "sql": "'; DROP TABLE entity; -- %_\\",
    "path": "../../../../etc/passwd",
    "windows": "..\\..\\C:\\boot.ini",
    "link": "javascript:window.owned=1",
    "entity": "&lt;b&gt; &amp;amp; &#x3c;script&#x3e;",
    "bidi": "invoice\u202egpj.exe\u2066\u2069",
    "invisible": "a\u200bb\ufeffc\u2028d",
    "zalgo": "Z\u0335\u0321\u0322" + "\u0300\u0301\u0302\u0303" * 100,
    "words": "نص عربي עברית ไทย 日本語 🏴‍☠️👩‍👩‍👧",
}

_VOID = {"meta", "link", "input", "img", "br", "hr", "rect", "circle", "path"}


class Html(HTMLParser):
    """
    A page, read.

    Attributes:
        elements: Every element with its attributes, in order.
        text: All text between tags, without that of scripts.
    """

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[tuple[tuple[str, ...], str]] = []
        self._ids: dict[str, list[str]] = {}
        self._open: list[tuple[str, str | None]] = []
        self.feed(source)
        self.close()
        self.text = "".join(text for _, text in self._texts)

    def of(self, name: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of that name."""
        return [attributes for tag, attributes in self.elements if tag == name]

    def inside(self, element_id: str) -> str:
        """Return the text inside of the element with that id."""
        return "".join(self._ids[element_id])

    def links(self) -> list[str]:
        """Return where its links lead."""
        return [str(link["href"]) for link in self.of("a")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in _VOID:
            self._open.append((tag, attributes.get("id")))
            if attributes.get("id"):
                self._ids[str(attributes["id"])] = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that is closed at once."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Go back out of an element."""
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self._texts.append((tuple(name for name, _ in self._open), data))
        for _, element_id in self._open:
            if element_id:
                self._ids[element_id].append(data)
