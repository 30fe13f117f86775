"""The rooms of the package: whoever is imported stands below who imports."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiotcbatch

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(aiotcbatch.__file__).parent

#: Packages and modules of the package's root; none imports what comes after it.
ROOMS = (
    *("version", "value", "errors", "cancelling", "checking", "events", "dates", "xid", "auth"),
    *("entities", "collecting", "results", "transport", "submitting", "journal"),
    *("instance", "retrying", "batch", "streaming", "stream", "client", "__init__"),
    *("telemetry", "sandbox", "sources", "cli"),
)
#: The transport knows nothing of batches, though it stands above what they are made of.
STRANGERS = {("transport", "entities"), ("transport", "collecting"), ("transport", "results")}
#: An error has the status that there was; that is a type only, and nothing is imported for it.
UPWARDS = {("errors", "results")}


def imported(path: Path) -> Iterator[str]:
    """Give the rooms that a module imports, in functions and for its types as well."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "aiotcbatch":
            names = [f"aiotcbatch.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for package, _, rest in (name.partition(".") for name in names):
            if package == "aiotcbatch":
                room = rest.partition(".")[0]
                yield room if room in ROOMS else "__init__"


def test_each_room_has_its_place() -> None:
    """Nothing is in the package's root of which the order does not tell."""
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    found |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert found == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_down(room: str) -> None:
    """A room knows those below it, and none above it."""
    place = PACKAGE / room
    paths = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    above = ROOMS[ROOMS.index(room) + 1 :]

    wrong = {
        (path.relative_to(PACKAGE).as_posix(), other)
        for path in paths
        for other in imported(path)
        if (room, other) in STRANGERS or (other in above and (room, other) not in UPWARDS)
    }

    assert wrong == set()
