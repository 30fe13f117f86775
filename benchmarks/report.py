"""What was found, as text, as a page and as pictures."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness import Plot, Ratio, Result

__all__ = ["draw", "page", "section", "sections_of", "text"]

#: A section with the mark before it.
_SECTION = re.compile(r"(?s)<!-- (\w+) -->\n\n(.*?\n)(?=\n<!-- |\Z)")
_COMPARED = (
    "What `python -m benchmarks` has measured. "
    "Contenders are compared within one run: ratios carry over to other machines better than "
    "times do."
)
_PACKAGES = ("aiotcbatch", "aiohttp", "anyio", "orjson", "tcex")


def text(result: Result) -> str:
    """Give a result as it is shown in a terminal, which is Markdown too."""
    parts = [f"## {result.title}", result.method, _table(result.columns, result.rows)]
    if result.ratios:
        parts.append(_table(("figure", "measured", "at least", "aim", ""), _figures(result.ratios)))
    parts += result.notes
    return "\n\n".join(parts)


def section(name: str, result: Result, command: str, *, pictured: bool) -> str:
    """Give one result as a section of the page, with what has measured it and where."""
    parts = [text(result)]
    if pictured:
        parts.append(f"![{result.title}](images/benchmark-{name}.svg)")
    where = "; ".join(f"{what}: {which}" for what, which in machine())
    parts.append(f"*Measured by `{command}`. {where}.*")
    return "\n\n".join(parts) + "\n"


def page(sections: Mapping[str, str]) -> str:
    """Give the page of the documentation that sections make, by the names of their benchmarks."""
    marked = [f"<!-- {name} -->\n\n{found}" for name, found in sections.items()]
    return "\n".join(["# Benchmarks\n", f"{_COMPARED}\n", *marked])


def sections_of(page: str) -> dict[str, str]:
    """Take a page apart again."""
    return dict(_SECTION.findall(page))


def machine() -> list[tuple[str, str]]:
    """Say what it was measured on."""
    versions = [f"{name} {_version(name)}" for name in _PACKAGES]
    return [
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("libraries", ", ".join(versions)),
        ("date", dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")),
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "from a source tree" if name == "aiotcbatch" else "(not in this environment)"


def _figures(ratios: Sequence[Ratio]) -> list[tuple[str, ...]]:
    return [
        (
            ratio.name,
            f"{ratio.value:.2f}{ratio.unit}",
            "" if ratio.least is None else f"{ratio.least:g}{ratio.unit}",
            "" if ratio.aim is None else f"{ratio.aim:g}{ratio.unit}",
            ratio.verdict,
        )
        for ratio in ratios
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def draw(plot: Plot, title: str, path: Path) -> bool:
    """Draw a picture, if matplotlib is there; say whether it was."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 (it is optional)
        from matplotlib.figure import Figure  # noqa: PLC0415 (as above)
    except ImportError:
        return False
    # A new run of the same figures gives the same file.
    with mpl.rc_context({"svg.hashsalt": "aiotcbatch"}):
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        axes: Any = figure.subplots()
        for name, points in plot.series.items():
            across, up = zip(*points, strict=True)
            if isinstance(across[0], str):
                axes.barh(across, up)
                axes.invert_yaxis()
            else:
                axes.plot(across, up, marker="o", label=name)
        _label(axes, plot)
        axes.set_title(title)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    return True


def _label(axes: Any, plot: Plot) -> None:
    """Name the axes; bars lie, so that theirs change places."""
    bars = isinstance(next(iter(plot.series.values()))[0][0], str)
    axes.set_xlabel(plot.y_label if bars else plot.x_label)
    axes.set_ylabel(plot.x_label if bars else plot.y_label)
    if plot.log:
        axes.set_xscale("log")
    if not bars:
        axes.set_ylim(bottom=0)
        if len(plot.series) > 1:
            axes.legend()
