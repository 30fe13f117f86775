"""The process that is killed: it fills a batch or a stream with a journal, and submits."""

from __future__ import annotations

import sys

import anyio

from aiotcbatch import Client, TokenAuth

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


async def run(api_url: str, token: str, path: str, first: int, last: int, kind: str) -> None:
    """Go on with the journal, add what is not drained yet, and submit."""
    options = {"journal": path, "max_entities_per_job": 7}
    async with Client(api_url, TokenAuth(token)) as client:
        make = client.stream if kind == "stream" else client.batch
        if kind == "stream":
            options["linger"] = 0.01
        async with make(OWNER, attribute_write_type="Append", **options) as builder:
            say("resumed", len(builder))
            for number in range(first, last, 2):
                fill(builder, number, 2)
                await builder.drain()
                say("drained", number + 2)
            if kind != "stream":
                status = await builder.submit()
                say("told", status.success_count)
    say("finished", last)


if __name__ == "__main__":
    url, token, journal, first, last, kind = sys.argv[1:]
    anyio.run(run, url, token, journal, int(first), int(last), kind)
