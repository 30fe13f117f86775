"""What the documentation says is so."""

from __future__ import annotations

import ast
import importlib.util
import logging
import re
from codeop import CommandCompiler
from contextlib import suppress
from typing import TYPE_CHECKING

import click
import pytest
from support import documents
from support.differences import EXAMPLES, RULES
from support.documents import MEASURED, PAGES, ROOT, blocks, commands

from aiotcbatch.cli.app import cli
from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

_DIFFERENCES = ROOT / "docs" / "explanation" / "differences-from-tcex.md"
_FROM_TCEX = ROOT / "docs" / "how-to" / "coming-from-tcex.md"


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def own_logger() -> Iterator[None]:
    """Take back what a page does to our logger."""
    yield
    logger = logging.getLogger("aiotcbatch")
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()


@pytest.mark.usefixtures("own_logger")
@pytest.mark.parametrize("page", PAGES, ids=_name)
async def test_every_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page run in their order against a fresh sandbox, and print what it shows."""
    monkeypatch.chdir(tmp_path)
    async with Sandbox(owners=["MyOrg"]) as sandbox:
        environment = {**sandbox.environment, "TC_OWNER": "MyOrg"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        await documents.run(page, environment, {"sandbox": sandbox, "__name__": "__main__"})


def test_a_wrong_block_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are seen in their order, with their lines."""
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\nprint(1)\n```\n\n```text\n2\n```\n", "utf-8")

    assert [(block.language, block.line) for block in blocks(page)] == [("python", 3), ("text", 7)]


async def test_wrong_output_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that shows what is not printed fails."""
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```text\n2\n```\n", "utf-8")

    with pytest.raises(AssertionError, match=r"page\.md:5"):
        await documents.run(page, {}, {})


def _pasted(block: documents.Block) -> None:
    """Take the lines as the prompt of Python 3.11 does, where an empty one ends what is begun."""
    compiler = CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    typed: list[str] = []
    for line in [*block.text.splitlines(), ""]:
        typed.append(line)
        if compiler("\n".join(typed), repr(block)) is not None:
            typed = []
    assert not typed


_AT_THE_PROMPT = [
    pytest.param(block, id=f"{_name(page)}:{block.line}")
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md", ROOT / "docs" / "tutorial.md")
    for block in blocks(page)
    if block.language == "python"
]


@pytest.mark.parametrize("block", _AT_THE_PROMPT)
def test_what_is_said_to_go_to_the_prompt_can_be_pasted(block: documents.Block) -> None:
    """A block has no empty line where it is indented, and one behind what is indented."""
    _pasted(block)


def test_what_cannot_be_pasted_is_found() -> None:
    """A block that the prompt ends in its midst fails."""
    text = "if True:\n    print(1)\n\n    print(2)\n"

    with pytest.raises(SyntaxError):
        _pasted(documents.Block(ROOT / "page.md", 1, "python", text))


_COMMANDS = [
    pytest.param(words, id=f"{_name(block.page)}:{block.line} {' '.join(words)}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "console"
    for words in commands(block)
]


@pytest.mark.parametrize("words", _COMMANDS)
def test_every_command_is_right(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, options and arguments are those that the command line knows."""
    monkeypatch.setenv("TC_OWNER", "MyOrg")
    context = click.Context(cli, info_name="aiotcbatch", **cli.context_settings)
    group, name, *rest = cli, *words[1:]
    command = group.get_command(context, name)
    while isinstance(command, click.Group):
        group, (name, *rest) = command, rest
        context = click.Context(group, info_name=group.name, parent=context)
        command = group.get_command(context, name)
    assert command is not None

    with suppress(click.exceptions.Exit):  # by --help; what is wrong raises a UsageError
        assert command.make_context(name, rest, parent=context).command is command


@pytest.fixture(scope="module")
def readme_command() -> ModuleType:
    """Load what .ci/run uses to read the README."""
    spec = importlib.util.spec_from_file_location(
        "readme_command", ROOT / ".ci" / "readme_command.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("which", ["demo", "tests"])
def test_readme_has_both_commands(readme_command: ModuleType, which: str) -> None:
    """Each of the two commands sets up everything by itself, and is there once."""
    command = readme_command.command(which, (ROOT / "README.md").read_text("utf-8"))

    assert ".venv/bin/pip install" in command


def test_ci_runs_the_command_of_the_readme() -> None:
    """The tests of CI are started by the README's own words."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")

    assert ".ci/readme_command.py tests" in script
    assert "bin/pytest" not in script


_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project leads to one that is there."""
    targets = _LINK.findall(page.read_text("utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("title", [found.title for found in (*RULES, *EXAMPLES)])
def test_every_difference_is_told(title: str) -> None:
    """What is different from TcEx on purpose is in the documentation."""
    assert title in _DIFFERENCES.read_text("utf-8").replace("`", "")


def test_every_call_of_tcex_is_told() -> None:
    """The page for those who come from TcEx has every public name of its batch."""
    from support.tcex import Batch  # noqa: PLC0415 (it takes seconds to import)

    names = [name for name in dir(Batch) if not name.startswith("_")]
    told = set(re.findall(r"[a-z_0-9]+", _FROM_TCEX.read_text("utf-8")))

    assert [name for name in names if name not in told] == []


_SENTENCES = re.compile(r"[a-z)`][.?!] [A-Z`]")


@pytest.mark.parametrize("page", [page for page in PAGES if page != MEASURED], ids=_name)
def test_one_sentence_a_line(page: Path) -> None:
    """Each sentence has a line of its own, so that changes read well."""
    text = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", page.read_text("utf-8"))
    found = [line for line in text.splitlines() if _SENTENCES.search(line)]

    assert [line for line in found if not line.startswith("|")] == []
