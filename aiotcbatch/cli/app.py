"""The commands and their options; what they do is in the modules named after them."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from aiotcbatch.cli.display import Display
from aiotcbatch.cli.run import EXIT_CODES, Ending, launch
from aiotcbatch.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cli"]

F = TypeVar("F", bound="Callable[..., Any]")

_ENVIRONMENT = """
\b
Where and as whom is taken from the environment:
  TC_API_PATH         such as https://example.threatconnect.com/api
  TC_API_ACCESS_ID    access id and secret key of an API user
  TC_API_SECRET_KEY
  TC_TOKEN            or a token instead of these two
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(VERSION, prog_name="aiotcbatch")
def cli() -> None:
    """
    Threat intelligence in bulk, by the ThreatConnect Batch API.

    Start with `aiotcbatch demo`: it needs no ThreatConnect and no credentials.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a terminal without Unicode gets question marks, no error
            reconfigure(errors="replace")


def _is_file(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Refuse what elsewhere stands for a stream."""
    if value == "-":
        raise click.BadParameter("'-' is no file here; name one.")
    return value


_debug = click.option("--debug", is_flag=True, help="Show the tracebacks of errors.")


def _sandbox_options(function: F) -> F:
    """Add what all sandboxes of the command line can be told."""
    for option in (
        click.option(
            "--set",
            "limits",
            multiple=True,
            metavar="NAME=VALUE",
            help="Any other setting of the sandbox, such as upload_limit=2000000.",
        ),
        click.option(
            "--fault",
            "faults",
            multiple=True,
            metavar="ENDPOINT=FAULT",
            help="Let something go wrong, such as upload=reset,times=1 or status=503,p=0.2.",
        ),
        click.option(
            "--latency",
            type=click.FloatRange(0),
            default=0.0,
            metavar="SECONDS",
            help="Wait before each answer.",
        ),
        click.option(
            "--entities-per-second",
            type=click.FloatRange(0, min_open=True),
            metavar="N",
            help="Process jobs no faster than this, as an instance under load.",
        ),
        click.option(
            "--db",
            type=click.Path(dir_okay=False),
            callback=_is_file,
            metavar="FILE",
            help="Keep everything in this SQLite file.  [default: in memory]",
        ),
        click.option(
            "--seed",
            type=int,
            metavar="N",
            help="Make up the same credentials for the same number.  [default: new ones]",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            metavar="N",
            default=0,
            help="Listen on this port.  [default: a free one]",
        ),
    ):
        function = option(function)
    return function


@cli.command("demo")
@click.option(
    "--serve",
    "--keep",
    "stay",
    is_flag=True,
    help="Let the sandbox run on afterwards, to look at it, until Ctrl-C.",
)
@click.option("--owner", default="MyOrg", show_default=True, help="The owner in the sandbox.")
@click.option(
    "--entities-per-job",
    type=click.IntRange(1, 25_000),
    metavar="N",
    default=500,
    show_default=True,
    help="The most groups in one batch job.",
)
@_sandbox_options
@_debug
def demo_command(
    *, stay: bool, owner: str, entities_per_job: int, debug: bool, **sandbox: Any
) -> NoReturn:
    """
    See it work: MITRE ATT&CK into a local sandbox, and back.

    Starts a sandbox of ThreatConnect on this machine, submits all of ATT&CK to it with tags,
    attributes, associations and a report file for each group, reads everything back over HTTP
    and compares. It needs no credentials and reaches no other machine.
    """
    from aiotcbatch.cli.demo import Demo, demo  # noqa: PLC0415 (a command loads what it needs)
    from aiotcbatch.cli.serve import make_sandbox  # noqa: PLC0415

    display = Display()
    asked = Demo(owner=owner, entities_per_job=entities_per_job, stay=stay)
    made = partial(make_sandbox, (owner,), **sandbox)
    launch(display, lambda: demo(display, made(), asked), debug=debug)


@cli.command("sandbox")
@click.option(
    "--owner",
    "owners",
    multiple=True,
    default=("MyOrg",),
    show_default=True,
    help="An owner that exists in it; can be given several times.",
)
@click.option(
    "--record",
    metavar="FILE",
    callback=_is_file,
    help="Write everything into this file that clients send and are answered, to replay it.",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Listen on this address; with 0.0.0.0, as in a container, other machines reach it too.",
)
@_sandbox_options
@_debug
def sandbox_command(*, owners: tuple[str, ...], debug: bool, **sandbox: Any) -> NoReturn:
    """
    Run a local ThreatConnect to try things on.

    Prints its address and what to put into the environment, and serves until Ctrl-C. Only this
    machine can reach it, unless --host says otherwise.
    """
    from aiotcbatch.cli.serve import make_sandbox, serve  # noqa: PLC0415 (as above)
    from aiotcbatch.transport.settings import is_loopback  # noqa: PLC0415

    display = Display()
    made = partial(make_sandbox, owners, **sandbox)
    elsewhere = not is_loopback(sandbox["host"])
    launch(display, lambda: serve(display, made(), owners[0], elsewhere=elsewhere), debug=debug)


_plain_http = click.option(
    "--allow-plain-http",
    is_flag=True,
    help="Send the credentials in the clear to another machine, as to a sandbox there.",
)


@cli.command("owners", epilog=_ENVIRONMENT)
@_plain_http
@_debug
def owners_command(*, allow_plain_http: bool, debug: bool) -> NoReturn:
    """
    List the owners that the credentials see.

    The quickest way to find out whether the address and the credentials are right.
    """
    from aiotcbatch.cli.owners import owners  # noqa: PLC0415 (a command loads what it needs)

    display = Display()
    launch(display, lambda: owners(display, allow_plain_http=allow_plain_http), debug=debug)


@cli.command("get", epilog=_ENVIRONMENT)
@click.argument("path")
@_plain_http
@_debug
def get_command(*, path: str, allow_plain_http: bool, debug: bool) -> NoReturn:
    """
    Look at something over the API: one signed GET.

    PATH is below the URL of the API, such as /v2/owners or
    '/v3/groups?tql=summary = "APT29"&fields=tags'. JSON is indented; a file comes as it is.
    """
    from aiotcbatch.cli.get import get  # noqa: PLC0415 (a command loads what it needs)

    display = Display()
    plain = allow_plain_http
    launch(display, lambda: get(display, path, allow_plain_http=plain), debug=debug)


_WRITE_TYPES = ("Replace", "Append")

_grace = click.option(
    "--grace",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long Ctrl-C or SIGTERM waits for the jobs that the server has.",
)
_dead_letters = click.option(
    "--dead-letters",
    type=click.Path(dir_okay=False),
    callback=_is_file,
    metavar="OUT",
    help="Append what failed to this file, as lines of JSON that submit takes as a FILE.",
)


_moved_from = click.option(
    "--journal-moved-from",
    metavar="URL",
    help="The URL that the instance had when the journal's jobs were begun; needed once.",
)


@cli.command("submit", epilog=_ENVIRONMENT)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--owner", envvar="TC_OWNER", required=True, show_envvar=True, help="The owner to write into."
)
@click.option(
    "--action",
    type=click.Choice(("Create", "Delete"), case_sensitive=False),
    default="Create",
    show_default=True,
    help="Create or update the entities, or delete those that match.",
)
@click.option(
    "--halt-on-error/--keep-going",
    default=True,
    show_default=True,
    help="Stop at the first error, or report it and go on with the rest.",
)
@click.option(
    "--attribute-write-type",
    type=click.Choice(("Replace", "Append", "Singleton", "Static"), case_sensitive=False),
    default="Replace",
    show_default=True,
    help="What becomes of attributes that an entity has already.",
)
@click.option(
    "--tag-write-type",
    type=click.Choice(_WRITE_TYPES, case_sensitive=False),
    default="Replace",
    show_default=True,
    help="What becomes of tags that an entity has already.",
)
@click.option(
    "--security-label-write-type",
    type=click.Choice(_WRITE_TYPES, case_sensitive=False),
    default="Replace",
    show_default=True,
    help="What becomes of security labels that an entity has already.",
)
@click.option(
    "--entities-per-job",
    "max_entities_per_job",
    type=click.IntRange(1, 25_000),
    metavar="N",
    default=25_000,
    show_default=True,
    help="The most entities in one batch job.",
)
@_dead_letters
@click.option(
    "--journal",
    type=click.Path(dir_okay=False),
    callback=_is_file,
    metavar="JOURNAL",
    help="Keep what is left to do in this file, so that it is gone on with if this is ended.",
)
@_moved_from
@_grace
@_plain_http
@click.option("--json", "as_json", is_flag=True, help="Print each job's status as a line of JSON.")
@_debug
def submit_command(
    *,
    files: tuple[str, ...],
    owner: str,
    halt_on_error: bool,
    as_json: bool,
    dead_letters: str | None,
    journal: str | None,
    journal_moved_from: str | None,
    grace: float,
    allow_plain_http: bool,
    debug: bool,
    **job: Any,
) -> NoReturn:
    """
    Submit entities from files.

    A FILE (- is standard input) has one JSON object a line, a group, an indicator or an
    association with the names of the Batch API; or it is a batch document
    {"group": [], "indicator": [], "association": []}, or what --dead-letters has written. An
    entity without an xid gets the one that its type and name always give.

    Ctrl-C and SIGTERM begin no further job, and wait for those that the server has.
    """
    from aiotcbatch.cli.submit import Submission, submit  # noqa: PLC0415 (as above)

    if journal_moved_from is not None and journal is None:
        raise click.UsageError("--journal-moved-from needs --journal.")
    display, ending = Display(), Ending(grace)
    asked = Submission(
        files=files,
        owner=owner,
        halt_on_error=halt_on_error,
        as_json=as_json,
        dead_letters=dead_letters,
        journal=journal,
        journal_moved_from=journal_moved_from,
        allow_plain_http=allow_plain_http,
        job=job,
    )
    launch(display, lambda: submit(display, asked, ending), debug=debug, ending=ending)


@cli.group("journal")
def journal_group() -> None:
    """
    What a batch or a stream with a journal has left to do.

    Opened with `client.batch(owner, journal=FILE)` or `client.stream(owner, journal=FILE)`, it
    keeps what was drained until that is done, whatever becomes of the process.
    """


_journal = click.argument("path", metavar="FILE")


@journal_group.command("show", short_help="Show what is left to do.")
@_journal
@_debug
def journal_show_command(*, path: str, debug: bool) -> NoReturn:
    """
    Show what is left to do, even while a process is at work on it.

    Whom FILE is for and with which settings, what waits, jobs with their ids and how long they
    have been in their phase, files; or what is wrong with it, if it is damaged.
    """
    from aiotcbatch.cli.journal import show  # noqa: PLC0415 (a command loads what it needs)

    display = Display()
    launch(display, lambda: show(display, path), debug=debug)


@journal_group.command("resume", epilog=_ENVIRONMENT, short_help="Go on until everything is done.")
@_journal
@click.option("--owner", help="Refuse a journal of another owner.  [default: the journal's]")
@click.option(
    "--halt-on-error/--keep-going",
    default=True,
    show_default=True,
    help="Stop at the first step that fails, or report it and go on with the rest.",
)
@_moved_from
@_dead_letters
@_grace
@_plain_http
@click.option("--json", "as_json", is_flag=True, help="Print each job's status as a line of JSON.")
@_debug
def journal_resume_command(*, grace: float, debug: bool, **asked: Any) -> NoReturn:
    """
    Go on until everything is done, and delete FILE then.

    With the settings that it was opened with last. It can be interrupted at any time: what is
    left stays in FILE. Contents of files that were functions are imported by their names, so
    their module must be found (PYTHONPATH).
    """
    from aiotcbatch.cli.journal import Resumption, resume  # noqa: PLC0415 (as above)

    display, ending = Display(), Ending(grace)
    resumption = Resumption(**asked)
    launch(display, lambda: resume(display, resumption, ending), debug=debug, ending=ending)


@journal_group.command("export", short_help="Write what is left to do as lines of JSON.")
@_journal
@click.option("-o", "--output", metavar="OUT", default="-", help="Write here.  [default: stdout]")
@_debug
def journal_export_command(*, path: str, output: str, debug: bool) -> NoReturn:
    """
    Write everything that is left to do as lines of JSON; FILE stays as it is.

    Each has the entity as it is sent, its kind, and how far it is, with the content of its file
    if that is not uploaded, so that submit takes OUT as a FILE. What is damaged is left out, and
    said.
    """
    from aiotcbatch.cli.journal import write_out  # noqa: PLC0415 (a command loads what it needs)

    display = Display()
    launch(display, lambda: write_out(display, path, output), debug=debug)


@journal_group.command(
    "salvage", short_help="Put what can be read of a damaged one into a new one."
)
@_journal
@click.option("--owner", help="Whom it is for, if FILE does not tell that any more.")
@_debug
def journal_salvage_command(*, path: str, owner: str | None, debug: bool) -> NoReturn:
    """
    Put what can be read of a damaged FILE into a new one in its place.

    The damaged one is kept beside it.
    """
    from aiotcbatch.cli.journal import salvage  # noqa: PLC0415 (a command loads what it needs)

    display = Display()
    launch(display, lambda: salvage(display, path, owner), debug=debug)
