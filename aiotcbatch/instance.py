"""What an instance has: owners, indicator types and attribute types, read from its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.transport.answers import unreadable
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiotcbatch.transport.answers import Answer

__all__ = [
    "AttributeType",
    "IndicatorType",
    "Owner",
    "attribute_types_in",
    "indicator_types_in",
    "owners_in",
]


class Owner(Value, kw_only=False):
    """
    Who holds data: an Organization, a Community or a Source.

    Source: v2 API, owners.
    """

    id: int
    name: str
    #: ``Organization``, ``Community`` or ``Source``.
    type: str


class IndicatorType(Value, kw_only=False):
    """
    A type of indicators, built in or custom.

    Source: v2 API, indicator types. The server sends booleans as strings.
    """

    #: As it stands in a batch document, for instance ``Registry Key``.
    name: str
    #: Whether it is kept as custom types are; ASN and Mutex are such types too.
    custom: bool
    #: Whether it can be found in free text.
    parsable: bool
    #: ``upper``, ``lower`` or ``sensitive``, "" if the server does not say.
    case_preference: str
    #: Its segment in v2 paths, for instance ``registryKeys``.
    api_branch: str
    #: Its name in v2 answers, for instance ``registryKey``.
    api_entity: str
    #: What its one to three values are called; empty for the five basic types.
    value_labels: tuple[str, ...]
    #: ``text`` or ``selectone`` for each value.
    value_types: tuple[str, ...]
    #: What each ``selectone`` value may be; empty for text.
    value_options: tuple[tuple[str, ...], ...]


class AttributeType(Value, kw_only=False):
    """
    A type of attributes.

    Source: v3 API, attribute types.
    """

    id: int
    name: str
    description: str
    #: Characters that a value has at most.
    max_size: int | None
    allow_markdown: bool
    #: What the server says when a value is refused.
    error_message: str
    #: ``SelectOne`` and the like, "" if any text will do.
    rule_type: str
    #: The text of the rule.
    rule_text: str

    @property
    def choices(self) -> tuple[str, ...]:
        """What a value may be, empty unless the rule is a choice."""
        return _split(self.rule_text) if self.rule_type == "SelectOne" else ()


def owners_in(answer: Answer) -> list[Owner]:
    """Read the answer to a question for owners."""
    return [
        Owner(_number(item.get("id")) or 0, _text(item, "name"), _text(item, "type"))
        for item in _items(answer, "owner")
    ]


def indicator_types_in(answer: Answer) -> list[IndicatorType]:
    """Read the answer to a question for indicator types."""
    return [_indicator_type(item) for item in _items(answer, "indicatorType")]


def attribute_types_in(answer: Answer) -> list[AttributeType]:
    """Read one page of attribute types."""
    value = answer.json()
    items = value.get("data") if isinstance(value, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise unreadable(answer, "the answer has no list called data")
    return [_attribute_type(item) for item in items]


def _items(answer: Answer, name: str) -> list[dict[str, Any]]:
    """Take the objects out of a v2 answer, where a single one stands for itself."""
    value = answer.json()
    data = value.get("data") if isinstance(value, dict) else None
    found = data.get(name) if isinstance(data, dict) else None
    items = [found] if isinstance(found, dict) else found
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise unreadable(answer, f"the answer has no data.{name}")
    return items


def _indicator_type(item: dict[str, Any]) -> IndicatorType:
    numbers = [n for n in (1, 2, 3) if _text(item, f"value{n}Label")]
    return IndicatorType(
        name=_text(item, "name"),
        custom=_flag(item.get("custom")),
        parsable=_flag(item.get("parsable")),
        case_preference=_text(item, "casePreference"),
        api_branch=_text(item, "apiBranch"),
        api_entity=_text(item, "apiEntity"),
        value_labels=tuple(_text(item, f"value{n}Label") for n in numbers),
        value_types=tuple(_text(item, f"value{n}Type") for n in numbers),
        value_options=tuple(_split(_text(item, f"value{n}Option")) for n in numbers),
    )


def _attribute_type(item: dict[str, Any]) -> AttributeType:
    rule = item.get("validationRule")
    rule = rule if isinstance(rule, dict) else {}
    return AttributeType(
        id=_number(item.get("id")) or 0,
        name=_text(item, "name"),
        description=_text(item, "description"),
        max_size=_number(item.get("maxSize")),
        allow_markdown=_flag(item.get("allowMarkdown")),
        error_message=_text(item, "errorMessage"),
        rule_type=_text(rule, "type"),
        rule_text=_text(rule, "text"),
    )


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return "" if value is None else str(value)


def _flag(value: object) -> bool:
    return str(value).lower() == "true"


def _number(value: object) -> int | None:
    """Read a number that may come as text."""
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _split(text: str) -> tuple[str, ...]:
    return tuple(_choices(text))


def _choices(text: str) -> Iterator[str]:
    for choice in text.split(";"):
        if choice.strip():
            yield choice.strip()
