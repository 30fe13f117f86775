"""Tying the errors of a server to the entities and associations that they are about."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiotcbatch.results.status import BatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["EntityLookup"]

_PATH = re.compile(r"\$\.(group|indicator|association)\[(\d+)\]")
_ORDINAL = re.compile(r"\b(group|indicator|association)\[(\d+)\]")
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
#: Names of up to this many words are found without quotes, in so many characters of a text.
_NAME_WORDS = 12
_SEARCHED = 2000


class EntityLookup:
    """
    Finds what a server's error is about: by JSON path, by what it quotes, by names in its text.

    Args:
        document: The job's document, as dicts.
    """

    def __init__(self, document: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._document = document
        self._types: dict[str, str] = {}
        self._titled: dict[str, list[str]] = defaultdict(list)
        for kind, title in (("group", "name"), ("indicator", "summary")):
            for entity in document.get(kind, ()):
                xid = entity.get("xid")
                if isinstance(xid, str):
                    self._types[xid] = str(entity.get("type"))
                    for name in _titles(entity, title):
                        self._titled[name].append(xid)

    def tie(self, error: Mapping[str, Any]) -> BatchError:
        """Copy an error, with the ``xid`` or the ``association`` that it is about if it is sure."""
        copy = BatchError(error)
        source = error.get("errorSource")
        texts = [str(error.get(name) or "")[:_SEARCHED] for name in ("errorMessage", "errorReason")]
        if isinstance(source, dict):
            xid = self._known(source.get("xid"), "") or self._known(source.get("summary"), "")
            if xid is not None:
                copy["xid"] = xid
                return copy
        elif source:
            texts.append(str(source)[:_SEARCHED])
        record = self._by_place(texts)
        if record is not None and "xid" not in record:
            copy["association"] = dict(record)
        else:
            xid = record["xid"] if record is not None else self._by_text(texts)
            if xid is not None:
                copy["xid"] = xid
        return copy

    def _by_place(self, texts: Sequence[str]) -> Mapping[str, Any] | None:
        """The record that stands at the path that a text names, a full path before a part."""
        for pattern in (_PATH, _ORDINAL):
            for text in texts:
                # Where there are several, the last one is where the server was.
                for kind, number in reversed(pattern.findall(text)):
                    records = self._document.get(kind, ())
                    if int(number) < len(records):
                        return records[int(number)]
        return None

    def _by_text(self, texts: Sequence[str]) -> str | None:
        for text in texts:
            for single, double in _QUOTED.findall(text):
                xid = self._known(single or double, text)
                if xid is not None:
                    return xid
        for text in texts:
            for phrase in _runs_of_words(text):
                xid = self._known(phrase, text)
                # A plain word may be just that, unless its entity's type stands before it.
                if xid is not None and (
                    not phrase.isalpha() or f"{self._types[xid]} {phrase}" in text
                ):
                    return xid
        return None

    def _known(self, phrase: object, text: str) -> str | None:
        """The one entity whose xid, name or summary is this phrase, None if there are several."""
        if not isinstance(phrase, str):
            return None
        found = {*self._titled.get(phrase, ()), *([phrase] if phrase in self._types else ())}
        if len(found) > 1:
            found = {xid for xid in found if self._types[xid] in text}
        return found.pop() if len(found) == 1 else None


def _titles(entity: Mapping[str, Any], title: str) -> Iterator[str]:
    """Give what a server may call an entity: its name or summary, and each hash of a File."""
    name = entity.get(title)
    if isinstance(name, str):
        yield name
        if entity.get("type") == "File" and " : " in name:
            yield from (part for part in name.split(" : ") if part)


def _runs_of_words(text: str) -> Iterator[str]:
    """Give what may be a name in a text, longest first, with and without marks around it."""
    words = text.split()
    for length in range(min(_NAME_WORDS, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            phrase = " ".join(words[start : start + length])
            yield phrase
            stripped = phrase.strip("'\".,:;()")
            if stripped != phrase:
                yield stripped
