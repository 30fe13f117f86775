"""`aiotcbatch owners`: do the address and the credentials work, and what can they write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.client import Client

if TYPE_CHECKING:
    from aiotcbatch.cli.display import Display

__all__ = ["owners"]


async def owners(display: Display, *, allow_plain_http: bool = False) -> int:
    """
    List the owners that the credentials see.

    Args:
        display: Where to show them.
        allow_plain_http: Whether credentials may go in the clear to another machine.

    Returns:
        The exit code.
    """
    async with Client.from_env(allow_plain_http=allow_plain_http) as client:
        found = await client.owners()
    rows = [(str(owner.id), owner.name, owner.type) for owner in found]
    display.table("Owners", ("Id", "Name", "Type"), rows, right=("Id",))
    if not rows:
        display.remark("The credentials work, and no owner is visible to them.")
    return 0
