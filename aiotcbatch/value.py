"""Values: classes that are nothing but their fields, and cannot be changed once they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn, Self

__all__ = ["Value"]


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Value:
    """
    A value: equal to what is of its class and says the same.

    Its fields are the annotations of its class, as strings, and what they are given there is what
    they are if left out. Type checkers take it for a frozen dataclass. It is none, since
    `dataclass` writes and compiles methods anew for each class, and as many classes as are made
    with ``import aiotcbatch`` would make that notably slower.
    """

    #: The names of the fields that repr leaves out.
    _hidden: ClassVar[frozenset[str]] = frozenset()
    _names: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _positional: ClassVar[bool] = False

    def __init_subclass__(cls, *, kw_only: bool = True) -> None:
        own = [
            name for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")
        ]
        cls._names = (*cls._names, *own)
        cls._defaults = {
            **cls._defaults,
            **{name: vars(cls)[name] for name in own if name in vars(cls)},
        }
        cls._positional = not kw_only

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self._names
        given = {**self._defaults, **dict(zip(names, values, strict=False)), **named}
        wrong = [*(given.keys() ^ names), *(named.keys() & names[: len(values)])]
        if len(values) > (len(names) if self._positional else 0):
            wrong.append(f"{len(values)} by place")
        if wrong:
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(names)}, each once; "
                f"what is wrong is {', '.join(wrong)}"
            )
        vars(self).update({name: given[name] for name in names})
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check the fields, where there is something to check."""

    @property
    def fields(self) -> dict[str, object]:
        """Its fields by name."""
        return dict(vars(self))

    def replace(self, **changes: Any) -> Self:
        """Give another one that differs in some fields."""
        return type(self)(**{**vars(self), **changes})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value) or type(other) is not type(self):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        said = [f"{name}={vars(self)[name]!r}" for name in self._names if name not in self._hidden]
        return f"{type(self).__qualname__}({', '.join(said)})"
