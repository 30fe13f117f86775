"""Values are made of their fields, compared by them, and never changed."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import pytest

from aiotcbatch.value import Value


class Point(Value, kw_only=False):
    """Where something is."""

    unit: ClassVar[str] = "m"
    _hidden = frozenset({"secret"})

    x: int
    y: int = 0
    secret: str | None = None

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("left of all")


class Named(Point):
    """The same, with a name."""

    name: str


class TestValue:
    """A class of values, and what inherits from it."""

    def test_fields_are_given_or_have_defaults(self) -> None:
        """By place where the class allows it, by name always, in the order of the class."""
        assert Point(1, secret="s", y=2).fields == {"x": 1, "y": 2, "secret": "s"}
        assert Point(x=1).fields == {"x": 1, "y": 0, "secret": None}
        assert list(Named(name="n", y=1, x=2).fields) == ["x", "y", "secret", "name"]

    @pytest.mark.parametrize(
        ("values", "named", "wrong"),
        [
            ((), {}, "x"),
            ((1, 2, None, 4), {}, "4 by place"),
            ((1,), {"x": 1}, "x"),
            ((), {"x": 1, "z": 2}, "z"),
            ((), {"x": 1, "unit": "km"}, "unit"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, values: tuple[int, ...], named: dict[str, object], wrong: str
    ) -> None:
        """What is missing, unknown or given twice is named."""
        with pytest.raises(TypeError, match=f"Point takes x, y, secret, .*wrong is {wrong}"):
            Point(*values, **named)  # type: ignore[arg-type]

    def test_by_name_alone(self) -> None:
        """Unless its class says otherwise, a value is made by name."""
        with pytest.raises(TypeError, match="4 by place"):
            Named(1, 2, None, "n")  # type: ignore[misc]

    def test_it_is_checked(self) -> None:
        """Each way of making one checks it."""
        with pytest.raises(ValueError, match="left"):
            Point(-1)
        with pytest.raises(ValueError, match="left"):
            Point(1).replace(x=-1)

    def test_it_is_what_it_says(self) -> None:
        """Values are equal if they are of one class and say the same, and then hash alike."""
        assert Point(1) == Point(1, 0)
        assert hash(Point(1)) == hash(Point(x=1))
        assert Point(1) != Point(2)
        assert Point(1) != (1, 0, None)
        assert Named(x=1, name="n") != Point(1)

    def test_it_cannot_be_changed(self) -> None:
        """Neither its fields nor anything else; another one is made instead."""
        point = Point(1)

        with pytest.raises(AttributeError, match="Point cannot be changed: x"):
            point.x = 2  # type: ignore[misc]
        with pytest.raises(AttributeError, match="z"):
            point.z = 2  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="y"):
            del point.y  # type: ignore[misc]
        assert point.replace(y=5) == Point(1, 5)
        assert point == Point(1)

    def test_copies_are_equal(self) -> None:
        """It can be copied and pickled."""
        assert copy.deepcopy(Point(1)) == Point(1)
        assert pickle.loads(pickle.dumps(Point(1))) == Point(1)  # noqa: S301 (our own bytes)

    def test_repr_hides_what_is_hidden(self) -> None:
        """Each field is in its repr, but for those that are to be seen by nobody."""
        assert repr(Point(1, secret="hunter2")) == "Point(x=1, y=0)"
        assert repr(Named(x=1, name="n")) == "Named(x=1, y=0, name='n')"
