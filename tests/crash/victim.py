"""The process that is killed: it fills a batch or a stream with a journal, and submits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio

from aiotcbatch import BatchStatus, Client, TokenAuth

sys.path.insert(0, str(Path(__file__).parent.parent))

from crash.transitions import die_at

OWNER = "MyOrg"


def render(xid: str) -> str:
    """Make the content of a document; the journal keeps this function by its name."""
    return f"content of {xid}"


def fill(builder: object, first: int, count: int) -> None:
    """Add some entities, each of which carries an attribute that a second sending would double."""
    for number in range(first, first + count):
        group = builder.adversary(f"group {number}", f"g-{number}")  # type: ignore[attr-defined]
        group.attribute("Description", "once")
        if number:
            group.association(f"g-{number - 1}")
        host = builder.host(f"host-{number}.example.com")  # type: ignore[attr-defined]
        host.attribute("Description", "once")
        host.association(f"g-{number}")
        if number % 5 == 0:
            content = render if number % 10 else f"content of d-{number}".encode()
            builder.document(  # type: ignore[attr-defined]
                f"document {number}", "d.txt", content, xid=f"d-{number}"
            )


def say(word: str, number: int) -> None:
    """Tell the parent what has been promised so far."""
    sys.stdout.write(f"{word} {number}\n")
    sys.stdout.flush()


def report(status: BatchStatus) -> None:
    """Tell which files will not come."""
    for upload in status.uploads:
        if not upload.uploaded:
            say("without", int(upload.xid.removeprefix("d-")))


async def run(orders: dict[str, Any]) -> None:
    """Go on with the journal, add what is not drained yet, and submit."""
    kind = orders["kind"]
    options: dict[str, Any] = {
        "journal": orders["journal"],
        "max_entities_per_job": 7,
        "attribute_write_type": "Append",
        **orders["options"],
    }
    if kind == "stream":
        options |= {"linger": 0.01, "halt_on_failure": False, "on_job": report}
    async with Client(orders["api_url"], TokenAuth(orders["token"])) as client:
        make: Any = client.stream if kind == "stream" else client.batch
        async with make(OWNER, **options) as builder:
            say("resumed", len(builder))
            for number in range(orders["first"], orders["last"], 2):
                fill(builder, number, 2)
                await builder.drain()
                say("drained", number + 2)
            if kind == "batch":
                status = await builder.submit(halt_on_error=False)
                report(status)
                say("told", status.success_count)
    say("finished", orders["last"])


if __name__ == "__main__":
    orders = json.loads(sys.argv[1])
    if orders["dies_at"]:
        die_at(*orders["dies_at"])
    anyio.run(run, orders)
