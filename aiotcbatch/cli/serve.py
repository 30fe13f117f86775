"""`aiotcbatch sandbox`: a ThreatConnect of one's own until Ctrl-C."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from aiotcbatch.errors import ConfigurationError
from aiotcbatch.sandbox import Sandbox
from aiotcbatch.sandbox.faults import parse

if TYPE_CHECKING:
    from aiotcbatch.cli.display import Display

__all__ = ["environment", "make_sandbox", "page", "serve"]


def make_sandbox(
    owners: tuple[str, ...],
    *,
    db: str | None,
    faults: tuple[str, ...] = (),
    limits: tuple[str, ...] = (),
    **settings: Any,
) -> Sandbox:
    """
    Make a sandbox of what the command line says.

    Args:
        owners: Its owners.
        db: The file that keeps it, None for memory.
        faults: Rules such as ``upload=reset,times=1``.
        limits: Settings such as ``upload_limit=2000000``.
        **settings: Further arguments of `Sandbox`.

    Returns:
        The sandbox, not started yet.

    Raises:
        ConfigurationError: When a fault or a setting cannot be right.
    """
    settings |= dict(_setting(text) for text in limits)
    sandbox = Sandbox(owners=owners, db=db or ":memory:", **settings)
    sandbox.faults.rules += [parse(text) for text in faults]
    return sandbox


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError("--set", text, "NAME=VALUE, such as upload_limit=2000000")
    try:
        known = orjson.loads(value)
    except orjson.JSONDecodeError:
        known = value
    if known is not None and not isinstance(known, int | float):
        raise ConfigurationError(name, value, "a number, true, false or null", about="--set")
    return name, known


async def serve(display: Display, sandbox: Sandbox, owner: str, *, elsewhere: bool = False) -> int:
    """
    Run a sandbox until it is interrupted.

    Args:
        display: Where to show how to reach it.
        sandbox: The sandbox, not started yet.
        owner: The owner that is named in the lines to paste.
        elsewhere: Whether other machines reach it.

    Returns:
        Never: only a signal ends it.
    """
    async with sandbox:
        display.result(f"The sandbox is at {sandbox.api_url}")
        display.result(f"Look into it at {page(sandbox)}")
        display.result("Paste this into another terminal, and every command goes to it:")
        display.result()
        for line in environment(sandbox, owner):
            display.result(f"  {line}")
        display.result()
        if elsewhere:
            display.remark(
                "From another machine, put the name of this one into the URL; as it is plain HTTP,"
                " its commands need --allow-plain-http."
            )
        display.remark("Ctrl-C ends it.")
        await anyio.sleep_forever()
    return 0


def environment(sandbox: Sandbox, owner: str) -> tuple[str, ...]:
    """
    Give the shell lines after which commands talk to a sandbox.

    Args:
        sandbox: The sandbox, running.
        owner: The owner to write into.

    Returns:
        One ``export`` a line.
    """
    variables = sandbox.environment | {"TC_OWNER": owner}
    return tuple(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def page(sandbox: Sandbox) -> str:
    """
    Give the address of the page that shows what a sandbox has.

    Args:
        sandbox: The sandbox, running.

    Returns:
        A URL for a browser.
    """
    return sandbox.api_url.removesuffix("api")
