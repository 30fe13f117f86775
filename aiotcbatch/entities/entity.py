"""What groups and indicators share: fields, attributes, tags and security labels."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Self, TypeVar, overload

import orjson

from aiotcbatch.dates import Moment
from aiotcbatch.entities import values
from aiotcbatch.entities.metadata import Attribute, SecurityLabel, Tag, add_label
from aiotcbatch.errors import SealedError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Entity", "Field"]

Get = TypeVar("Get")
Set = TypeVar("Set")

_SCALARS = frozenset({str, int, float, bool})

#: Tags by their checked names, as feeds repeat a few over and over: to find one is to have
#: checked it, and saves an object for each.
_TAGS: dict[str, Tag] = {}
_MAX_TAGS = 4096

#: Makes the parts that users get back. As `cls(data, entity)` does, in half of its 0.2 µs.
_new = object.__new__


class Field(Generic[Get, Set]):
    """
    One wire field as a property: read what is sent, set what is checked, None removes it.

    Args:
        wire: The field's name in the input document.
        convert: Called with a value and the field's Python name; gives the wire value.
        aliases: Other names under which ``add_key_value`` takes the field.
    """

    def __init__(
        self,
        wire: str,
        convert: Callable[[Any, str], Get],
        *,
        aliases: tuple[str, ...] = (),
        doc: str | None = None,
    ) -> None:
        self.wire = wire
        self.convert = convert
        self.aliases = aliases
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, entity: None, owner: type) -> Self: ...
    @overload
    def __get__(self, entity: Entity, owner: type) -> Get | None: ...
    def __get__(self, entity: Entity | None, owner: type) -> Self | Get | None:
        if entity is None:
            return self
        return entity.data.get(self.wire)

    def __set__(self, entity: Entity, value: Set | None) -> None:
        entity.put(self, value)


class _Sealed(str):
    """What stands in an entity's ``data`` after drain(): its xid, and every use says so."""

    __slots__ = ()

    def _refuse(self, *_: Any) -> NoReturn:
        raise SealedError(
            f"the entity {str(self)!r} has been drained, so this handle can no longer be read or"
            " changed; name its xid again to continue it, or call drain() after the last change"
        )

    # A str in name only: nothing of it is to work.
    __getitem__ = __setitem__ = __delitem__ = _refuse  # pyright: ignore[reportAssignmentType]
    __contains__ = __iter__ = _refuse  # pyright: ignore[reportAssignmentType]
    get = pop = setdefault = update = items = keys = values = copy = _refuse


class Term:
    """
    The time from one ``drain()`` to the next, as the entities see it that were added in it.

    Args:
        read: Opens the record of an entity; gives its wire dict, None if it is there no more.
        validate: Whether values are checked.
    """

    __slots__ = ("over", "read", "validate")

    def __init__(
        self, read: Callable[[Entity], dict[str, Any] | None], *, validate: bool = True
    ) -> None:
        self.read = read
        self.validate = validate
        #: Whether drain() has been called since.
        self.over = False


#: The term of what was discarded.
_OVER = Term(lambda _: None)
_OVER.over = True


def _read(entity: Entity) -> dict[str, Any] | _Sealed:
    """Give the wire dict of an entity that is encoded, or what says that its term is over."""
    data = None if entity.term.over else entity.term.read(entity)
    return _Sealed(entity.xid) if data is None else data


class Entity:
    """
    A typed view over one wire dict of the input document.

    Entities are made by the methods of a batch, and live until the next ``drain()``.
    """

    __slots__ = ("data", "term", "xid")

    #: The class of an entity whose record is encoded: the same, but data is not at hand. To turn
    #: one into the other takes 0.05 µs, and costs nothing as long as an entity is open.
    ENCODED: ClassVar[Any]
    #: The class of an entity that is open.
    OPEN: ClassVar[Any]

    #: Every field by its Python name, wire name and aliases.
    fields: ClassVar[Mapping[str, Field[Any, Any]]] = {}
    #: The names by which fields can be given as keyword arguments.
    keywords: ClassVar[frozenset[str]] = frozenset()

    #: The wire dict; it is what is encoded, without any translation.
    data: dict[str, Any]
    #: The external id; it stays readable when the entity is sealed.
    xid: str
    #: How long it lives.
    term: Term

    first_seen = Field[str, Moment]("firstSeen", values.moment, doc="When it was first seen.")
    last_seen = Field[str, Moment]("lastSeen", values.moment, doc="When it was last seen.")
    date_added = Field[str, Moment]("dateAdded", values.moment, doc="When it was added.")
    external_date_added = Field[str, Moment](
        "externalDateAdded",
        values.moment,
        aliases=("external_date_created", "externalDateCreated"),
        doc="When its origin added it.",
    )
    external_date_expires = Field[str, Moment](
        "externalDateExpires", values.moment, doc="When it expires at its origin."
    )
    external_last_modified = Field[str, Moment](
        "externalLastModified",
        values.moment,
        aliases=("external_date_last_modified", "externalDateLastModified"),
        doc="When its origin last changed it.",
    )

    def __init__(self, data: dict[str, Any], term: Term) -> None:
        self.data = data
        self.xid = data["xid"]
        self.term = term

    def __init_subclass__(cls) -> None:
        if "OPEN" in vars(cls):
            return
        fields: dict[str, Field[Any, Any]] = {}
        keywords = set()
        for base in reversed(cls.__mro__):
            for name, field in vars(base).items():
                if isinstance(field, Field):
                    keywords.add(name)
                    fields.update(dict.fromkeys((name, field.wire, *field.aliases), field))
        cls.fields = fields
        cls.keywords = frozenset(keywords - {"name"})
        encoded = {
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
            "__slots__": (),
            "OPEN": cls,
            "data": property(_read),
        }
        cls.ENCODED = type(cls.__name__, (cls,), encoded)

    @property
    def type(self) -> str:
        """The ThreatConnect type, such as ``Adversary`` or ``Address``."""
        kind: str = self.data["type"]
        return kind

    @property
    def sealed(self) -> bool:
        """Whether ``drain()`` has encoded it, so that this handle is over."""
        return self.__class__ is self.ENCODED and (self.term.over or isinstance(self.data, _Sealed))

    def seal(self) -> None:
        """End this handle: what it stood for is encoded or discarded."""
        if self.__class__ is not self.ENCODED:
            self.data = None  # type: ignore[assignment]
            self.__class__ = self.ENCODED
        self.term = _OVER

    def unseal(self, data: dict[str, Any]) -> None:
        """Make a handle to an encoded entity an open one."""
        self.__class__ = self.OPEN
        self.data = data

    def attribute(  # noqa: C901 - hot: a call for each check would cost more than the checks
        self,
        attr_type: str,
        attr_value: Any,
        displayed: bool = False,
        source: str | None = None,
        unique: bool | str = True,
        formatter: Callable[[Any], Any] | None = None,
        *,
        pinned: bool = False,
    ) -> Attribute:
        """
        Add a typed note, such as a description.

        Args:
            attr_type: The attribute type; it must exist on the server.
            attr_value: str, int, float or bool. None and ``""`` are not sent.
            displayed: Show this one by default (Description and Source only).
            source: Where the value comes from.
            unique: True adds nothing if type and formatted value are there already; False
                always adds; ``"Type"`` keeps one attribute of the type, the last.
            formatter: Called with the value; what it returns is sent and compared.
            pinned: Pin it to the top of the entity's page.

        Returns:
            The attribute, the one that was there if it is not added.

        Raises:
            ValidationError: When the type or value cannot be right.
            SealedError: When the entity has been drained.
        """
        if unique is not True and unique is not False and unique != "Type":
            raise ValidationError("unique", unique, "True, False or 'Type'", about=self._about())
        if attr_type.__class__ is not str or not attr_type or not attr_type.isascii():
            attr_type = self.named(values.text, attr_type, "attr_type")
        if formatter is not None:
            attr_value = self._formatted(formatter, attr_value)
        if attr_value.__class__ is not str or not attr_value or not attr_value.isascii():
            attr_value = self._attribute_value(attr_value)
        data = {"type": attr_type, "value": attr_value}
        if attr_value is not None:
            ours = self.data
            attributes = ours.get("attribute")
            if attributes is None:
                ours["attribute"] = [data]
            elif (found := self._place(attributes, data, unique)) is not data:
                return Attribute(found, self)
        attribute = _new(Attribute)
        attribute._data = data  # noqa: SLF001 - this is its constructor
        attribute._entity = self  # noqa: SLF001
        if displayed and (
            shown := displayed is True or self.checked(values.boolean, displayed, "displayed")
        ):
            data["displayed"] = shown
        if source is not None:
            attribute.source = source
        if pinned:
            attribute.pinned = pinned
        return attribute

    def _formatted(self, formatter: Callable[[Any], Any], value: Any) -> Any:
        """Call a formatter; what it raises is its own."""
        if not callable(formatter):
            raise ValidationError(
                "formatter", formatter, "a function of one argument, or None", about=self._about()
            )
        return formatter(value)

    def _attribute_value(self, value: Any) -> Any:
        """Check a value that is not plain ASCII text; None if it is not to be sent."""
        if value is None or value == "":
            return None
        if value.__class__ in _SCALARS:
            return self.encodable(value, "attr_value")
        return self.checked(values.attribute_value, value, "attr_value")

    def _place(
        self, attributes: list[dict[str, Any]], new: dict[str, Any], unique: bool | str
    ) -> dict[str, Any]:
        """Put a new attribute among the others, or find the one that it repeats."""
        kind, value = new["type"], new["value"]
        if unique is True:
            for old in attributes:
                there = old["value"]
                # 0 and False are different values, though equal in Python
                if there == value and old["type"] == kind and there.__class__ is value.__class__:
                    return old
        elif unique == "Type":
            attributes[:] = [old for old in attributes if old["type"] != kind]
        attributes.append(new)
        return new

    def tag(self, name: str, formatter: Callable[[str], str] | None = None) -> Tag:
        """
        Add a short label, at most 128 characters.

        Args:
            name: The tag; an empty one or None is not sent.
            formatter: Called with the name; what it returns is sent and compared.

        Returns:
            The tag, the one that was there if the entity has it already.

        Raises:
            ValidationError: When the name is too long or not text.
            SealedError: When the entity has been drained.
        """
        if formatter is not None:
            name = self._formatted(formatter, name)
        tag = _TAGS.get(name) if name.__class__ is str else None
        if tag is None:
            tag = self._new_tag(name)
            name = tag.name
        ours = self.data
        tags = ours.get("tag")
        if tags is None:
            if name:
                ours["tag"] = [{"name": name}]
        elif name and (data := {"name": name}) not in tags:
            tags.append(data)
        return tag

    def _new_tag(self, name: Any) -> Tag:
        """Check a name; one that is empty is that of a tag that is not sent."""
        if not name:
            return Tag("")
        checked = self.checked(values.tag_name, name, "name")
        tag = Tag(checked)
        if self.term.validate and checked.__class__ is str:
            if len(_TAGS) >= _MAX_TAGS:
                _TAGS.clear()
            _TAGS[checked] = tag
        return tag

    def security_label(
        self, name: str, description: str | None = None, color: str | None = None
    ) -> SecurityLabel:
        """
        Mark the entity with a security label, such as ``TLP:GREEN``.

        Args:
            name: The label's name.
            description: What it means; needed if the label does not exist on the server.
            color: Six hexadecimal digits, such as ``ffc0cb``; needed likewise.

        Returns:
            The label, the one that was there if the entity has it already.

        Raises:
            ValidationError: When a value cannot be right.
            SealedError: When the entity has been drained.
        """
        ours = self.data
        if (
            description is None
            and color is None
            and name.__class__ is str
            and name
            and name.isascii()
            and "securityLabel" not in ours
        ):
            data = {"name": name}
            ours["securityLabel"] = [data]
            label = _new(SecurityLabel)
            label._data = data  # noqa: SLF001 - this is its constructor
            label._entity = self  # noqa: SLF001
            return label
        return add_label(ours, self, name, description, color)

    def add_key_value(self, key: str, value: Any) -> None:
        """
        Set a field by its wire name or its Python name.

        A name that this version does not know is sent as it is, since a platform may know
        more fields, unless it looks like a slip of one that is known.

        Args:
            key: The field, such as ``eventDate``, ``event_date`` or ``Key Name``.
            value: Its value, checked like the property of that name; None removes it.

        Raises:
            ValidationError: When the value cannot be right, or the key is no text or a near miss.
            SealedError: When the entity has been drained.
        """
        try:
            field = self.fields.get(key)
        except TypeError:  # a list or a dict
            field = None
        if field is not None:
            self.put(field, value)
            return
        if not isinstance(key, str) or not key:
            raise ValidationError("key", key, "the name of a field, as text", about=self._about())
        self._refuse_structure(key)
        near = values.nearest(key, self.fields) if self.term.validate else None
        if near is not None:
            raise ValidationError(
                "key", key, f"a field of the input document, such as {near!r}", about=self._about()
            )
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[self.encodable(key, "key")] = self.encodable(value, key)

    def _refuse_structure(self, key: str) -> None:
        """Keep the parts that have methods of their own, and the entity's identity."""
        if key in {"type", "xid"}:
            raise ValidationError(
                "key", key, "any field but type and xid, which make the entity", about=self._about()
            )

    def put(self, field: Field[Any, Any], value: Any) -> None:
        """Set one field to a checked value, or remove it with None."""
        if value is None:
            self.data.pop(field.wire, None)
        else:
            self.data[field.wire] = self.checked(field.convert, value, field.name)

    def put_all(self, given: Mapping[str, Any]) -> None:
        """
        Set several fields by keyword; None stands for "not given".

        Raises:
            ValidationError: When a keyword is unknown, with the nearest known one.
        """
        converted = {}
        for name, value in given.items():
            if name not in self.keywords:
                self.refuse_keyword(name, value, self.keywords)
            field = self.fields[name]
            if value is not None:
                converted[field.wire] = self.checked(field.convert, value, name)
        self.data.update(converted)

    def refuse_keyword(self, name: str, value: Any, known: Iterable[str]) -> NoReturn:
        """Say that a keyword is unknown, and which one may have been meant."""
        near = values.nearest(name, known)
        hint = f"{near!r}" if near else f"one of {', '.join(sorted(known))}"
        raise ValidationError(
            f"keyword {name!r}", value, f"{hint} for {self.type}", about=self._about()
        )

    def checked(self, convert: Callable[[Any, str], Any], value: Any, field: str) -> Any:
        """
        Convert a value, and name the entity if that fails; None stays None.

        With ``validate=False`` a value that is refused is taken as it was given.
        """
        if value is None:
            return None
        try:
            return convert(value, field)
        except ValidationError as error:
            if self.term.validate:
                raise ValidationError(
                    error.field, error.value, error.accepted, about=self._about()
                ) from None
            return self.encodable(value, field)

    def named(self, convert: Callable[[Any, str], Any], value: Any, field: str) -> Any:
        """Convert what names a part of the entity: as `checked`, but None is refused too."""
        if value is None and self.term.validate:
            raise ValidationError(field, value, "text", about=self._about())
        return self.checked(convert, value, field)

    def encodable(self, value: Any, field: str) -> Any:
        """Give the value back if JSON can hold it."""
        if value.__class__ is float and not isfinite(value):
            raise ValidationError(field, value, "a number that JSON can hold", about=self._about())
        try:
            orjson.dumps(value)
        except (TypeError, orjson.JSONEncodeError) as error:
            raise ValidationError(
                field, value, f"what JSON can hold ({error})", about=self._about()
            ) from None
        return value

    def _about(self) -> str:
        title = self.data.get("name") or self.data.get("summary") or self.xid
        return f"{self.data.get('type')} {title!r}"

    def __repr__(self) -> str:
        if self.sealed:
            return f"<{type(self).__name__} {self.xid!r} (drained)>"
        title = self.data.get("name", self.data.get("summary"))
        return f"<{type(self).__name__} {title!r} xid={self.xid!r}>"
