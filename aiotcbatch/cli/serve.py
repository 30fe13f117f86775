"""`aiotcbatch sandbox`: a ThreatConnect of one's own until Ctrl-C."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from aiotcbatch.cli.display import Display
    from aiotcbatch.sandbox import Sandbox

__all__ = ["environment", "serve"]


async def serve(display: Display, sandbox: Sandbox, owner: str) -> int:
    """
    Run a sandbox until it is interrupted.

    Args:
        display: Where to show how to reach it.
        sandbox: The sandbox, not started yet.
        owner: The owner that is named in the lines to paste.

    Returns:
        Never: only a signal ends it.
    """
    async with sandbox:
        display.result(f"The sandbox is at {sandbox.api_url}")
        display.result("Paste this into another terminal, and every command goes to it:")
        display.result()
        for line in environment(sandbox, owner):
            display.result(f"  {line}")
        display.result()
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
