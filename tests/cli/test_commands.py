"""The command line as it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from aiotcbatch.cli.app import cli

if TYPE_CHECKING:
    from support.command import Python

_COMMANDS = ("demo", "get", "journal", "owners", "sandbox", "submit")


def test_the_commands_are_those_that_are_documented() -> None:
    """A command is added or renamed on purpose only."""
    assert tuple(sorted(cli.commands)) == _COMMANDS


@pytest.mark.parametrize("arguments", [[], *([command] for command in _COMMANDS)])
def test_help_says_what_everything_is_for(arguments: list[str]) -> None:
    """Every command and every option of it has a help text, and -h is enough."""
    result = CliRunner().invoke(cli, [*arguments, "-h"])
    command = cli.commands[arguments[0]] if arguments else cli

    assert result.exit_code == 0
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    assert "\t" not in result.output


def test_the_exit_codes_are_in_the_help() -> None:
    """Who writes a script finds the exit codes without reading the source."""
    assert "130  interrupted" in CliRunner().invoke(cli, ["--help"]).output


def test_the_version_is_told() -> None:
    """--version gives one line."""
    result = CliRunner().invoke(cli, ["--version"])

    assert result.exit_code == 0
    assert result.output.startswith("aiotcbatch, version ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit"], "Missing argument 'FILE...'"),
        (["submit", "x.json"], "Missing option '--owner' (env var: 'TC_OWNER')"),
        (["submit", "x.json", "--owner", "o", "--action", "Destroy"], "'Destroy' is not one of"),
        (["demo", "--entities-per-job", "0"], "not in the range"),
        (["demo", "--latency", "-1"], "not in the range"),
        (["demo", "--db", "-"], "'-' is no file here"),
        (["sandbox", "--record", "-"], "'-' is no file here"),
        (["submit", "x.json", "--owner", "o", "--journal", "-"], "'-' is no file here"),
        (["journal", "resume", "x", "--dead-letters", "-"], "'-' is no file here"),
        (["subnit"], "No such command 'subnit'"),
    ],
)
def test_a_wrong_command_line_exits_with_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the command line is said in the words that were typed."""
    monkeypatch.delenv("TC_OWNER", raising=False)
    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_the_extra(package: str, python: Python) -> None:
    """When click or rich is not there, one line says how to install them."""
    program = f"import sys; sys.modules[{package!r}] = None; import aiotcbatch.cli as c; c.main()"
    result = python("-c", program)

    assert result.returncode == 3
    assert result.stderr == (
        "aiotcbatch: the command line is an extra: pip install 'aiotcbatch[cli]'\n"
    )


def test_without_the_data_of_the_demo(python: Python) -> None:
    """What is not installed is told in one line, before anything is started."""
    program = (
        "import importlib.util as u, sys; find = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if 'misp' in name else find(name, *rest);"
        "sys.argv = ['aiotcbatch', 'demo']; import aiotcbatch.cli as c; c.main()"
    )
    result = python("-c", program)

    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == (
        "error: the ATT&CK data are not installed:"
        " pip install 'aiotcbatch[demo]' brings pymispgalaxies\n"
    )


def test_another_missing_module_is_not_hidden(python: Python) -> None:
    """Only the extra's packages are told as such; anything else that is missing is a bug."""
    program = "import sys; sys.modules['anyio'] = None; import aiotcbatch.cli as c; c.main()"
    result = python("-c", program)

    assert result.returncode == 1
    assert "anyio" in result.stderr
    assert "pip install" not in result.stderr
