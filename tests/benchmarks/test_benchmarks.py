"""The benchmarks run, each with next to nothing to do; what they find is not judged here."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
NAMES: tuple[str, ...] = run_path(str(BENCHMARKS / "__init__.py"))["NAMES"]


@pytest.fixture(autouse=True)
def _in_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the benchmarks be imported: they are in the tree, and not in the package."""
    monkeypatch.syspath_prepend(str(ROOT))


def options(name: str) -> Any:
    """Ask for the smallest sizes; TcEx starts slowly, and is measured once."""
    harness = import_module("benchmarks.harness")
    python = sys.executable if name == "build" else str(ROOT / "no-python")
    return harness.Options(size=harness.Size.TINY, tcex_python=python)


@pytest.mark.parametrize("name", NAMES)
def test_each_runs(name: str) -> None:
    """A benchmark gives rows that fit its columns, positive ratios, and its method."""
    result = import_module(f"benchmarks.{name}").run(options(name))

    assert result.rows
    assert {len(row) for row in result.rows} == {len(result.columns)}
    assert all(ratio.value >= 0 for ratio in result.ratios)
    assert result.method in import_module("benchmarks.report").text(result)


def test_names() -> None:
    """The command knows every module that is a benchmark, and refuses names that are none."""
    command = import_module("benchmarks.__main__")
    modules = BENCHMARKS.glob("*.py")
    found = {path.stem for path in modules if "\ndef run(" in path.read_text("utf-8")}

    assert found == set(NAMES)
    with pytest.raises(SystemExit):
        command.main(["bulid"])


@pytest.mark.parametrize(
    ("value", "more_is_better", "verdict"),
    [
        (12.0, True, "aim reached"),
        (7.0, True, "reached"),
        (5.0, True, "missed"),
        (5.0, False, "aim reached"),
        (7.0, False, "reached"),
        (12.0, False, "missed"),
    ],
)
def test_verdicts(value: float, more_is_better: bool, verdict: str) -> None:
    """A figure is judged from its good side, whichever that is."""
    harness = import_module("benchmarks.harness")
    least, aim = (6.0, 10.0) if more_is_better else (10.0, 6.0)
    ratio = harness.Ratio(
        name="a", value=value, least=least, aim=aim, more_is_better=more_is_better
    )

    assert ratio.verdict == verdict


def test_the_page_has_everything(tmp_path: Path) -> None:
    """The page tells the command, the machine and the results, and shows the pictures."""
    harness, report = import_module("benchmarks.harness"), import_module("benchmarks.report")
    plot = harness.Plot(x_label="n", y_label="s", series={"a": [(1, 2.0), (2, 3.0)]})
    result = harness.Result(
        title="Title", method="Method.", columns=("a",), rows=[("cell",)], plot=plot
    )

    drawn = report.draw(plot, result.title, tmp_path / "images" / "picture.svg")
    section = report.section("one", result, "python -m benchmarks one", pictured=True)
    page = report.page({"one": section, "two": section})

    assert drawn == (tmp_path / "images" / "picture.svg").exists()
    assert all(
        part in page
        for part in ("## Title", "| cell |", "processor", "benchmark-one.svg", "benchmarks one`")
    )


def test_a_page_can_be_taken_apart() -> None:
    """Each section is what it was."""
    report = import_module("benchmarks.report")
    sections = {"one": "## One\n\ntext\n", "two": "## Two\n\n*more*\n"}

    assert report.sections_of(report.page(sections)) == sections


def test_a_section_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured again replaces its own section, and leaves the others as they were."""
    command, harness = import_module("benchmarks.__main__"), import_module("benchmarks.harness")
    for name, title in (("build", "Once"), ("memory", "Other"), ("build", "Twice")):
        result = harness.Result(title=title, method="M.", columns=("a",), rows=[("cell",)])
        monkeypatch.setattr(f"benchmarks.{name}.run", lambda _, found=result: found)
        command.main([name, "--quick", "--out", str(tmp_path)])

    page = (tmp_path / "benchmarks.md").read_text("utf-8")

    assert page.index("## Twice") < page.index("## Other")
    assert "Once" not in page
    assert "`python -m benchmarks build --quick`" in page


def test_a_child_that_fails_says_why() -> None:
    """What went wrong in the other process is told here."""
    harness = import_module("benchmarks.harness")

    with pytest.raises(RuntimeError, match="no_such_function"):
        harness.child("ours:no_such_function")
