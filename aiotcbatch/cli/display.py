"""
What the commands show: results on stdout, progress and remarks on stderr.

On a terminal there are colours, bars and boxes; elsewhere plain lines that a log can hold.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Display", "Step", "Steps", "counted"]

#: Wide enough that nothing is wrapped where no terminal says how wide it is.
_PLAIN_WIDTH = 200
#: Seconds between the lines about one step, where there is no bar.
_LINE_EVERY = 5.0
#: Columns of a bar, and those that label, amount and seconds take beside it.
_NARROWEST_BAR, _WIDEST_BAR, _BESIDE_BAR = 8, 40, 62


class Step(Protocol):
    """One bar, or its lines."""

    def advance(self, amount: int = 1) -> None:
        """Go on by some units."""

    def expect(self, total: int) -> None:
        """Change how many units there are."""

    def finish(self, note: str = "") -> None:
        """Say that it is done, with a few words on how."""


class Steps(Protocol):
    """Several steps, one below the other."""

    def add(self, label: str, total: int | None, unit: str) -> Step:
        """Begin another one; without a total it is not known yet how much there is."""
        ...


class Display:
    """
    Where a command shows things.

    Args:
        out: For results.
        err: For progress, remarks and errors.
        clock: Seconds, for the lines of plain progress.
    """

    def __init__(
        self,
        out: Console | None = None,
        err: Console | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.out = out or _console(stderr=False)
        self.err = err or _console(stderr=True)
        self._clock = clock

    def result(self, text: str = "") -> None:
        """
        Show a line of the result.

        Args:
            text: Plain text.
        """
        self.out.print(Text(text), soft_wrap=True)

    def remark(self, text: str) -> None:
        """
        Show a line that is not part of the result.

        Args:
            text: Plain text.
        """
        self.err.print(Text(text), soft_wrap=True)

    def error(self, text: str, detail: str = "") -> None:
        """
        Show an error.

        Args:
            text: What happened and what to do.
            detail: A second line, if there is something to add.
        """
        self.err.print(Text.assemble(("error:", "bold red"), f" {text}"), soft_wrap=True)
        if detail:
            self.err.print(Text(detail), soft_wrap=True)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        right: Sequence[str] = (),
    ) -> None:
        """
        Show a table.

        Args:
            title: What it is.
            columns: The heads.
            rows: The cells, plain text. One that ends in ``differ`` stands out.
            right: The heads of columns that are flush right.
        """
        terminal = self.out.is_terminal
        table = Table(
            title=title,
            title_justify="left",
            box=box.SIMPLE_HEAD if terminal else None,
            pad_edge=False,
        )
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left")
        for row in rows:
            table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        self.out.print(table)

    def facts(self, title: str, facts: Sequence[tuple[str, str]]) -> None:
        """
        Show what is known about one thing.

        Args:
            title: What it is.
            facts: Names and texts. On a terminal a long text goes on below its beginning.
        """
        self.out.print(Text(title, style="bold"), soft_wrap=True)
        if not self.out.is_terminal:
            for name, text in facts:
                self.out.print(Text(f"  {name}: {text}"), soft_wrap=True)
            return
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="cyan")
        grid.add_column()
        for name, text in facts:
            grid.add_row(Text(f"  {name}"), Text(text))
        self.out.print(grid)

    @contextmanager
    def steps(self) -> Iterator[Steps]:
        """
        Show steps while the block runs.

        Yields:
            What steps are added to.
        """
        if not self.err.is_terminal or self.err.is_dumb_terminal:
            yield _PlainSteps(self)
            return
        # Not the whole width: the ^C that a terminal echoes would break the last line.
        width = max(_NARROWEST_BAR, min(_WIDEST_BAR, self.err.width - _BESIDE_BAR))
        bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=width, complete_style="cyan", finished_style="green"),
            TextColumn("{task.fields[amount]}", justify="right"),
            _Seconds(),
            console=self.err,
        )
        with bars:
            yield _BarSteps(bars)

    def now(self) -> float:
        """
        Read the clock.

        Returns:
            Seconds since some moment.
        """
        return self._clock()


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=_PLAIN_WIDTH, color_system=None)
    return console


def _style(cell: str) -> str:
    if cell == "same":
        return "green"
    return "bold red" if cell.endswith("differ") else ""


def _amount(done: int, total: int | None, unit: str) -> str:
    return counted(done, unit) if total is None else f"{done:,} of {total:,} {unit}"


def counted(count: int, unit: str) -> str:
    """
    Say how many there are.

    Args:
        count: How many.
        unit: Of what, as of several.

    Returns:
        Both; of one the unit is as of one.
    """
    if count == 1:
        unit = f"{unit.removesuffix('ies')}y" if unit.endswith("ies") else unit.removesuffix("s")
    return f"{count:,} {unit}"


class _Seconds(ProgressColumn):
    def render(self, task: Task) -> Text:
        seconds = task.finished_time if task.finished else task.elapsed
        return Text(f"{seconds or 0.0:5.1f} s", style="progress.elapsed")


class _BarSteps:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def add(self, label: str, total: int | None, unit: str) -> Step:
        task = self._bars.add_task(label, total=total, amount=_amount(0, total, unit))
        return _BarStep(self._bars, task, total, unit)


class _BarStep:
    def __init__(self, bars: Progress, task: TaskID, total: int | None, unit: str) -> None:
        self._bars = bars
        self._task = task
        self._done = 0
        self._total = total
        self._unit = unit

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        self._update()

    def expect(self, total: int) -> None:
        self._total = total
        self._update()

    def finish(self, note: str = "") -> None:
        self._total = self._done
        self._update(note)

    def _update(self, note: str = "") -> None:
        shown = note or _amount(self._done, self._total, self._unit)
        total = max(self._total, 1) if note and self._total is not None else self._total
        completed = total if note and total is not None else self._done
        self._bars.update(self._task, total=total, completed=completed, amount=shown)


class _PlainSteps:
    def __init__(self, display: Display) -> None:
        self._display = display

    def add(self, label: str, total: int | None, unit: str) -> Step:
        return _PlainStep(self._display, label, total, unit)


class _PlainStep:
    def __init__(self, display: Display, label: str, total: int | None, unit: str) -> None:
        self._display = display
        self._label = label
        self._done = 0
        self._total = total
        self._unit = unit
        self._begun = self._said = display.now()

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        if self._display.now() - self._said >= _LINE_EVERY:
            self._say(_amount(self._done, self._total, self._unit))

    def expect(self, total: int) -> None:
        self._total = total

    def finish(self, note: str = "") -> None:
        seconds = self._display.now() - self._begun
        shown = note or _amount(self._done, None, self._unit)
        self._say(f"{shown} ({seconds:.1f} s)")

    def _say(self, text: str) -> None:
        self._said = self._display.now()
        self._display.remark(f"{self._label}: {text}")
