"""The page that shows the table: ``PYTHONPATH=tests python -m faults.page`` writes it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from faults.cells import all_cells
from faults.outcomes import ENDPOINTS, FAULTS, OUTCOMES, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PAGE", "text"]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "faults.md"

_INTRODUCTION = Path(__file__).with_name("introduction.md")


def text() -> str:
    """Write the page."""
    introduction = _INTRODUCTION.read_text("utf-8")
    parts = [introduction.replace("CELLS", f"{len(list(all_cells())):,}"), "\n"]
    parts += _table(("In the table", "What it means"), WORDS.items())
    parts.append("\n## The faults\n\n")
    parts += _table(("Fault", "What happens"), FAULTS.items())
    for names in _alike():
        parts.append(f"\n## {' and '.join(names)}\n\n")
        parts += [_line(name) for name in names]
        parts.append("\n")
        rows = (
            (fault, *map(_shown, OUTCOMES[names[0]][fault]))
            for fault in FAULTS
            if fault in OUTCOMES[names[0]]
        )
        parts += _table(("Fault", "Once", "For good"), rows)
    return "".join(parts)


def _alike() -> Iterator[list[str]]:
    """Give the endpoints, those together that have the same outcomes and stand together."""
    for _, names in groupby(OUTCOMES, lambda name: OUTCOMES[name]):
        yield list(names)


def _line(name: str) -> str:
    endpoint = ENDPOINTS[name]
    shown = f"`{endpoint.request}`: {endpoint.what}" if endpoint.request else endpoint.what
    return f"- {shown}\n"


def _shown(outcome: object) -> str:
    name, comma, rest = str(outcome).partition(",")
    return f"`{name}`{comma}{rest}" if name.endswith("Error") else str(outcome)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n"
    yield f"|{'---|' * len(head)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"


if __name__ == "__main__":
    PAGE.write_text(text(), "utf-8")
