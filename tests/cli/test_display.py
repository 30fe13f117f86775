"""What the commands show, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from aiotcbatch.cli.display import Display, counted


class _Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def _display(
    *, terminal: bool, width: int = 80
) -> tuple[Display, io.StringIO, io.StringIO, _Clock]:
    out, err, clock = io.StringIO(), io.StringIO(), _Clock()

    def console(file: io.StringIO) -> Console:
        return Console(
            file=file,
            force_terminal=terminal,
            width=width,
            highlight=False,
            color_system="standard" if terminal else None,
            _environ={"TERM": "xterm"},
        )

    return Display(console(out), console(err), clock=clock), out, err, clock


def test_steps_are_lines_where_there_is_no_terminal() -> None:
    """A step says what was done when it is done, and now and then in between."""
    display, out, err, clock = _display(terminal=False)
    with display.steps() as steps:
        step = steps.add("Building", 2000, "groups")
        step.advance(10)
        clock.time = 6.0
        step.advance(990)
        step.advance()
        clock.time = 7.5
        step.finish()

    assert out.getvalue() == ""
    assert err.getvalue() == ("Building: 1,000 of 2,000 groups\nBuilding: 1,001 groups (7.5 s)\n")


def test_steps_are_bars_on_a_terminal() -> None:
    """On a terminal the last picture has the note, the amounts, and the cursor is back."""
    display, out, err, _ = _display(terminal=True)
    with display.steps() as steps:
        known = steps.add("Building", 10, "groups")
        known.advance(10)
        unknown = steps.add("Reading", None, "bytes")
        unknown.advance(5)
        unknown.expect(5)
        unknown.finish("all of it")
        empty = steps.add("Uploading", 0, "files")
        empty.finish("none")
    shown = err.getvalue()

    assert out.getvalue() == ""
    assert "10 of 10 groups" in shown
    assert "all of it" in shown
    assert "none" in shown
    assert shown.rstrip().endswith("\x1b[?25h")


@pytest.mark.parametrize(
    ("count", "unit", "said"),
    [(1, "entities", "1 entity"), (1, "files", "1 file"), (0, "files", "0 files")],
)
def test_one_is_not_several(count: int, unit: str, said: str) -> None:
    """Units are given as of several."""
    assert counted(count, unit) == said


def test_text_is_never_taken_for_markup() -> None:
    """Brackets in texts of a server or a file are shown as they are."""
    display, out, err, _ = _display(terminal=False)

    display.result("[bold]r[/x]")
    display.remark("[red]m")
    display.error("[/red]e", "[d]")
    display.table("t", ["a"], [["[b]cell"]])

    assert "[bold]r[/x]" in out.getvalue()
    assert "[b]cell" in out.getvalue()
    assert err.getvalue() == "[red]m\nerror: [/red]e\n[d]\n"


def test_long_lines_are_not_broken() -> None:
    """What someone may copy, such as a command or a URL, stays on one line."""
    display, out, err, _ = _display(terminal=True, width=40)

    display.result("x" * 100)
    display.remark("y" * 100)

    assert "x" * 100 in out.getvalue()
    assert "y" * 100 in err.getvalue()


def test_a_table_fits_a_narrow_terminal() -> None:
    """No line of a table is wider than the terminal."""
    display, out, _, _ = _display(terminal=True, width=80)

    display.table("T", ["What", "n"], [["word " * 40, "5"], ["b", "2 differ"]], right=("n",))
    lines = out.getvalue().splitlines()

    assert len(lines) > 4
    assert any("\x1b[1;31m2 differ" in line for line in lines)
