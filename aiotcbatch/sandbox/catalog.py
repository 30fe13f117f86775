"""What one sandbox knows of types: the defaults and what its owner added, ready to be looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from aiotcbatch.errors import ConfigurationError
from aiotcbatch.sandbox import vocabulary
from aiotcbatch.sandbox.vocabulary import AssociationType, AttributeType, IndicatorType

__all__ = ["Catalog", "each_a"]

T = TypeVar("T")


def each_a(cls: type, argument: str, given: Iterable[T]) -> list[T]:
    """
    Refuse a list in which something is of another class.

    Raises:
        ConfigurationError: With the first that is, or with what is no list.
    """
    if not isinstance(given, Iterable):
        raise ConfigurationError(argument, given, f"a list of {cls.__name__} objects")
    kinds = list(given)
    for kind in kinds:
        if not isinstance(kind, cls):
            raise ConfigurationError(argument, kind, f"{cls.__name__} objects")
    return kinds


def _techniques(given: Mapping[str, str] | None) -> Mapping[str, str]:
    accepted = "a mapping of ids to names, as texts, or None"
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError("techniques", given, accepted)
    for technique_id, name in given.items():
        if not isinstance(technique_id, str) or not isinstance(name, str):
            raise ConfigurationError("techniques", {technique_id: name}, accepted)
    return given


class Catalog:
    """
    The types of one instance.

    Args:
        indicator_types: Custom indicator types, beside the default ones.
        attribute_types: Attribute types, beside the default ones; one of the same name wins.
        association_types: Association types, beside the default ones.
        techniques: ATT&CK technique ids and names, beside the default ones.
        signature_types: Values of a Signature's ``fileType``, beside the default ones.

    Raises:
        ConfigurationError: When a type is something else.
    """

    def __init__(
        self,
        indicator_types: Iterable[IndicatorType] = (),
        attribute_types: Iterable[AttributeType] = (),
        association_types: Iterable[AssociationType] = (),
        techniques: Mapping[str, str] | None = None,
        signature_types: Iterable[str] = (),
    ) -> None:
        own_kinds = each_a(IndicatorType, "indicator_types", indicator_types)
        own = {kind.name: kind for kind in (*vocabulary.INDICATOR_TYPES, *own_kinds)}
        self.indicators: tuple[IndicatorType, ...] = tuple(own.values())
        self._indicators = {kind.name.lower(): kind for kind in self.indicators}
        self._indicators.update((kind.name, kind) for kind in self.indicators)
        self.attributes: dict[str, AttributeType] = {
            kind.name: kind
            for kind in (
                *vocabulary.ATTRIBUTE_TYPES,
                *each_a(AttributeType, "attribute_types", attribute_types),
            )
        }
        self.associations: tuple[AssociationType, ...] = (
            *vocabulary.ASSOCIATION_TYPES,
            *each_a(AssociationType, "association_types", association_types),
        )
        self.techniques: dict[str, str] = {**vocabulary.TECHNIQUES, **_techniques(techniques)}
        if isinstance(signature_types, str):  # it would be taken for its letters
            raise ConfigurationError("signature_types", signature_types, "a list of texts")
        own_types = each_a(str, "signature_types", signature_types)
        self.signature_types = (*vocabulary.SIGNATURE_TYPES, *own_types)
        self._groups = {name.lower(): name for name in vocabulary.GROUP_BRANCHES}
        self._groups.update((name, name) for name in vocabulary.GROUP_BRANCHES)

    def indicator(self, name: str) -> IndicatorType | None:
        """Return the indicator type of a name in any letter case."""
        return self._indicators.get(name) or self._indicators.get(name.lower())

    def group(self, name: str) -> str | None:
        """Return the proper name of a group type given in any letter case."""
        return self._groups.get(name) or self._groups.get(name.lower())

    def type_name(self, name: str) -> str | None:
        """Return the proper name of a group or indicator type given in any letter case."""
        kind = self.indicator(name)
        return self.group(name) or (kind.name if kind is not None else None)

    @property
    def type_names(self) -> list[str]:
        """The names of all group and indicator types."""
        return [*vocabulary.GROUP_BRANCHES, *(kind.name for kind in self.indicators)]

    def technique(self, tag: str) -> str | None:
        """Return the id of the technique that a tag stands for, if it does."""
        for technique_id, name in self.techniques.items():
            if tag in {name, f"{technique_id} - {name}"}:
                return technique_id
        return None
