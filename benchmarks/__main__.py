"""``python -m benchmarks``: run all benchmarks or those that are named."""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import NAMES
from benchmarks.harness import Options, Size
from benchmarks.report import draw, page, section, sections_of, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness import Result


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    asked = _parser().parse_args(arguments)
    size = Size.QUICK if asked.quick else Size.LONG if asked.long else Size.FULL
    options = Options(size=size, tcex_python=asked.tcex_python)
    for name in asked.names or NAMES:
        began = time.perf_counter()
        result: Result = import_module(f"benchmarks.{name}").run(options)
        print(text(result), flush=True)
        print(f"\n({name}: {time.perf_counter() - began:.0f} s)\n", flush=True)
        if asked.out is not None:  # what was measured is kept if the next one fails
            _write(name, result, asked.out, _command(name, asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = ", ".join(NAMES)
    parser.add_argument("names", nargs="*", metavar="NAME", type=_name, help=f"all, or: {known}")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    sizes.add_argument("--long", action="store_true", help="larger sizes; takes half an hour")
    parser.add_argument("--out", type=Path, help="a folder for benchmarks.md and its pictures")
    parser.add_argument(
        "--tcex-python",
        default=sys.executable,
        help="the Python that has TcEx 5, by default this one",
    )
    return parser


def _name(text: str) -> str:
    """Take the name of a benchmark, and no other."""
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(NAMES)}")
    return text


def _write(name: str, result: Result, folder: Path, command: str) -> None:
    """Put the section of a benchmark into the page, in the place of what it was before."""
    picture = folder / "images" / f"benchmark-{name}.svg"
    pictured = result.plot is not None and draw(result.plot, result.title, picture)
    written = folder / "benchmarks.md"
    folder.mkdir(parents=True, exist_ok=True)
    found = sections_of(written.read_text("utf-8")) if written.exists() else {}
    found[name] = section(name, result, command, pictured=pictured)
    sections = {name: found[name] for name in NAMES if name in found}
    written.write_text(page(sections), "utf-8")


def _command(name: str, asked: argparse.Namespace) -> str:
    """Give the command again, without the paths of this machine."""
    flags = [f"--{name}" for name in ("quick", "long") if getattr(asked, name)]
    return " ".join(["python -m benchmarks", name, *flags])


if __name__ == "__main__":
    main()
