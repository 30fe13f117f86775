"""Each step of the journal, and how a process comes to it and dies there."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiotcbatch.journal.file import JournalFile
from aiotcbatch.journal.ledger import Ledger
from aiotcbatch.sandbox import Reset, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MOMENTS", "TRANSITIONS", "Scenario", "die_at"]

#: The step is not written; it is written and not committed; it is committed, and nobody knows.
MOMENTS = ("before", "within", "after")


@dataclass(frozen=True)
class Scenario:
    """
    What leads to a step.

    Attributes:
        options: Settings of the batch or stream.
        endpoint: Where something goes wrong once; "" for nowhere.
        fault: What goes wrong there.
        after: How many requests go well there before.
        anew: Whether nothing is to be left of earlier lives.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str = ""
    fault: Any = None
    after: int = 0
    anew: bool = False


_USUAL = Scenario()
_AT_ONCE = {"create_and_upload": True}
_TOO_LARGE = b'{"status":"Invalid","description":"File size greater than allowable limit of 600"}'
#: The steps by their names. In one request nothing tells whether the server has a document: with
#: Replace it is sent again, and so jobs of an earlier life, with Append, must not be there. With
#: Append it is lost, though here the server has it.
TRANSITIONS = {
    "drained": _USUAL,
    "cut": _USUAL,
    "created": _USUAL,
    "uploading": Scenario({**_AT_ONCE, "attribute_write_type": "Replace"}, anew=True),
    "uploaded": _USUAL,
    "completed": _USUAL,
    "explained": _USUAL,
    "filed": _USUAL,
    "done": _USUAL,
    # Not the first upload, for that may be one that was in doubt, and then it would be lost.
    "forgotten": Scenario({}, "upload", Status(404, b'{"status":"Failure","message":"-"}'), 1),
    "recut": Scenario({}, "upload", Status(400, _TOO_LARGE)),
    "failed": Scenario({}, "create", Status(403, b"no")),
    "lost": Scenario(_AT_ONCE, "create_and_upload", Reset(after_done=True)),
}


def die_at(name: str, moment: str) -> None:
    """Have this process killed at the next step of that name."""
    step, transact = getattr(Ledger, name), JournalFile._transact
    is_written = False

    def take(ledger: Ledger, *arguments: Any, **keywords: Any) -> Any:
        nonlocal is_written
        _die_if(moment == "before")
        result = step(ledger, *arguments, **keywords)
        _die_if(moment == "within")
        is_written = True
        return result

    def commit(file: JournalFile, steps: Any) -> None:
        transact(file, steps)
        _die_if(is_written)

    _replace(Ledger, name, take)
    _replace(JournalFile, "_transact", commit)


def _replace(owner: type, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def _die_if(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)
