"""
Running documents: Python blocks with top-level await, and commands, in their order.

A ``text`` block right after a Python block or a command is what that prints. A Python block that
begins with the name of a file, as a comment, is written to that file instead.
"""

from __future__ import annotations

import ast
import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from inspect import CO_COROUTINE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from sybil import Document
from sybil.parsers.myst import CodeBlockParser

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
#: Everything that users read, and whose blocks are run.
#: The page that the benchmarks write.
MEASURED = ROOT / "docs" / "explanation" / "benchmarks.md"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
#: Commands that end by themselves and need no more than the sandbox, so they are run.
_RUN = frozenset({"owners", "get", "submit", "journal"})
_FILE = re.compile(r"# (\w+\.py)\n")
_PLUGIN = "aiotcbatch.sandbox.pytest_plugin"


@dataclass(frozen=True)
class Block:
    """One block of code of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __repr__(self) -> str:
        """Show where it stands."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Read the blocks of a page that mean something to a test."""
    parsers = [CodeBlockParser(language, _named(language)) for language in _LANGUAGES]
    document = Document.parse(str(page), *parsers)
    return [
        Block(page, example.line, str(example.region.evaluator), str(example.parsed))
        for example in document.examples()
    ]


_LANGUAGES = ("python", "console", "text")


class _named(str):  # noqa: N801 (it stands for an evaluator, and is never called)
    """The name of a language, where Sybil wants an evaluator."""

    __slots__ = ()

    def __call__(self, example: Any) -> None:
        """Do nothing: blocks are run by `run`."""


async def run(page: Path, environment: Mapping[str, str], namespace: dict[str, Any]) -> None:
    """Run all blocks of a page one after the other, in one namespace."""
    printed: str | None = None
    for block in blocks(page):
        if block.language == "python":
            printed = await _run_python(block, namespace)
        elif block.language == "console":
            printed = await _run_console(block, environment)
        elif printed is not None:
            assert block.text.strip() == printed.strip(), f"{block!r} is to show:\n{printed}"
            printed = None


async def _run_python(block: Block, namespace: dict[str, Any]) -> str | None:
    file = _FILE.match(block.text)
    if file is not None:
        await anyio.Path(file[1]).write_text(block.text, "utf-8")
        return None
    # the lines before it are left empty, so that tracebacks name the lines of the page
    source = "\n" * block.line + block.text
    name = str(block.page)
    code = compile(source, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    output = io.StringIO()
    with redirect_stdout(output):
        if code.co_flags & CO_COROUTINE:
            await eval(code, namespace)  # noqa: S307 (our own documents)
        else:
            exec(code, namespace)  # noqa: S102 (our own documents)
    return output.getvalue()


def commands(block: Block) -> list[list[str]]:
    """Give the commands of ours in a console block, as arguments."""
    return [words for words in _lines(block) if words[0] == "aiotcbatch"]


def _lines(block: Block) -> list[list[str]]:
    lines = block.text.replace("\\\n", " ").splitlines()
    found = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [words for words in found if words]


async def _run_console(block: Block, environment: Mapping[str, str]) -> str | None:
    printed = None
    for words in _lines(block):
        if words[0] == "aiotcbatch" and len(words) > 1 and words[1] in _RUN:
            printed = await _run_module(block, ["aiotcbatch.cli", *words[1:]], environment)
        elif words[0] == "pytest":
            plugin = [] if _installed() else ["-p", _PLUGIN]
            await _run_module(block, ["pytest", *plugin, *words[1:]], environment)
    return printed


async def _run_module(block: Block, words: list[str], environment: Mapping[str, str]) -> str:
    done = await anyio.run_process(
        [sys.executable, "-m", *words],
        check=False,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    printed = done.stdout.decode()
    assert done.returncode == 0, f"{block!r}: {printed}"
    return printed


def _installed() -> bool:
    """Say whether pytest finds our fixtures by itself."""
    return any(found.value == _PLUGIN for found in entry_points(group="pytest11"))
