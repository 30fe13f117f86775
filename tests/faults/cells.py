"""One cell of the matrix: its place, what a user does in it, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faults.mishaps import CONFLICT, FAULTS, JOB_FAULTS, TIMEOUT, Strike
from faults.outcomes import ENDPOINTS, OUTCOMES, Endpoint, Outcome
from support.leaping import Line
from support.servers import Naps
from support.submitting import OWNER, Time

from aiotcbatch import BatchStatus, Client, HmacAuth, TokenAuth
from aiotcbatch.errors import AiotcbatchError
from aiotcbatch.transport.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiotcbatch import Batch
    from aiotcbatch.sandbox import Rule, Sandbox

#: Sends of one request.
ATTEMPTS = 3
#: Lookups, which are not about a batch.
LOOKUPS = {
    "owners": Client.owners,
    "indicatorTypes": Client.indicator_types,
    "attributeTypes": Client.attribute_types,
}
CONTENT = b"the content of a document"


@dataclass(frozen=True)
class Cell:
    """
    One cell.

    Attributes:
        name: The endpoint.
        fault: The fault.
        lasting: Whether it strikes for good.
        halts: ``halt_on_error``; None where there is none.
    """

    name: str
    fault: str
    lasting: bool
    halts: bool | None

    def __str__(self) -> str:
        """Name it, for pytest."""
        how = {None: "", True: ", halts", False: ", goes on"}[self.halts]
        return f"{self.name} - {self.fault} - {'for good' if self.lasting else 'once'}{how}"

    @property
    def endpoint(self) -> Endpoint:
        """What is asked for."""
        return ENDPOINTS[self.name]

    @property
    def outcome(self) -> Outcome:
        """What the table says."""
        return OUTCOMES[self.name][self.fault][self.lasting]

    @property
    def times(self) -> int | None:
        """How often the fault strikes."""
        return None if self.lasting else 1

    @property
    def handed(self) -> tuple[frozenset[str], frozenset[str]]:
        """The entities of the two jobs; ``bad`` is one that the server refuses."""
        # The first list of errors that is asked for is to have one.
        early = self.name in {"results", "errors"}
        first, second = ("bad", "i-1") if early else ("i-1", "bad")
        return frozenset({"d-1", first}), frozenset({second, "i-3"})

    @property
    def is_about_file(self) -> bool:
        """Whether it is about an upload of a content."""
        return self.name.startswith("file")


def all_cells() -> Iterator[Cell]:
    """Give every cell of the table."""
    for name, column in OUTCOMES.items():
        for fault in column:
            for lasting in (False, True):
                for halts in (None,) if name in LOOKUPS else (True, False):
                    yield Cell(name, fault, lasting, halts)


@dataclass
class Told:
    """
    What a user is told.

    Attributes:
        value: What was returned.
        error: What was raised.
    """

    value: Any = None
    error: AiotcbatchError | None = None

    @property
    def jobs(self) -> list[BatchStatus]:
        """The statuses of jobs, of an error those that it carries."""
        total = self.value if self.error is None else self.error.partial
        return total.jobs if isinstance(total, BatchStatus) else []

    @property
    def failures(self) -> list[AiotcbatchError]:
        """Why jobs got no further."""
        return [job.failure for job in self.jobs if job.failure is not None]


@dataclass
class Place:
    """A sandbox, and a client whose time passes by itself."""

    cell: Cell
    sandbox: Sandbox
    naps: Naps = field(default_factory=Naps)
    #: The tokens that the client was given.
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        retry = RetryPolicy(
            attempts=ATTEMPTS,
            sleep=self.naps,
            random=lambda: 1.0,
            now=lambda: sum(self.naps),
        )
        auth = self._auth()
        self.line = Line(self.sandbox.api_url, auth, retry=retry, timeout=TIMEOUT)
        self.client = Client(self.sandbox.api_url, auth)
        self.client.transport = self.line
        self.time = Time(self.sandbox)
        self.strike: Strike | None = None
        self.rule: Rule | None = None
        self.batch: Batch | None = None

    def _auth(self) -> HmacAuth | TokenAuth:
        # Both, so that neither shows; but for the faults that are about one of them.
        if self.cell.fault == "401, keys":
            return self.sandbox.auth
        if self.cell.fault == "401, renewable" or self.cell.halts is not False:
            return TokenAuth(self._token)
        return self.sandbox.auth

    async def _token(self) -> str:
        gate, now = self.sandbox.instance.gate, self.sandbox.instance.clock.time()
        self.tokens.append(gate.issue(gate.users[0], now))
        return self.tokens[-1]

    async def aclose(self) -> None:
        """Close the client."""
        await self.client.aclose()

    def break_(self) -> None:
        """Let the fault strike from now on."""
        faults, cell = self.sandbox.faults, self.cell
        if cell.name == "job":
            self.rule = faults.add("job", JOB_FAULTS[cell.fault], times=cell.times)
            return
        if cell.name == "errors":
            # An older server, which has no /results.
            faults.add("results", FAULTS["404"])
        otherwise = CONFLICT if cell.name == "file PUT" else None
        method = cell.endpoint.method
        self.strike = Strike(FAULTS[cell.fault], method, cell.times, otherwise)
        self.rule = faults.add(cell.endpoint.rule, self.strike)

    def mend(self) -> None:
        """Let nothing go wrong any more, and forget what was asked."""
        assert self.rule is not None
        self.sandbox.faults.rules.remove(self.rule)
        self.sandbox.release_jobs()
        self.naps.clear()
        self.line.asked.clear()

    @property
    def hits(self) -> int:
        """How often the fault has struck."""
        assert self.rule is not None
        return self.rule.hits if self.strike is None else self.strike.hits

    async def attempt(self, *, halts: bool | None) -> Told:
        """Do what a user does: look something up, or submit."""
        try:
            if self.cell.name in LOOKUPS:
                return Told(await LOOKUPS[self.cell.name](self.client))
            if self.batch is None:
                self.batch = self._fill()
            return Told(await self.batch.submit(halt_on_error=halts))
        except AiotcbatchError as error:
            return Told(error=error)

    def _fill(self) -> Batch:
        """Make a batch of two jobs."""
        batch = self.client.batch(
            OWNER,
            attribute_write_type="Append" if self.cell.endpoint.append else "Replace",
            halt_on_error=False,
            create_and_upload=self.cell.endpoint.rule == "create_and_upload",
            max_entities_per_job=2,
            poll_timeout=5,
            validate=False,
            clock=self.time.clock,
        )
        batch.document("a document", "one.txt", xid="d-1", file_content=CONTENT)
        if "bad" in self.cell.handed[0]:
            batch.address("10.0.0.999", xid="bad")
        batch.address("10.0.0.1", xid="i-1").attribute("Description", "text")
        batch.address("10.0.0.999", xid="bad")
        batch.address("10.0.0.3", xid="i-3")
        return batch

    # What the server has ------------------------------------------------------------------------

    @property
    def sent(self) -> list[str]:
        """The xids of the entities that came to the server, as often as they came."""
        return [
            entity["xid"]
            for job in self.sandbox.jobs
            if job.body is not None
            for kind in ("group", "indicator")
            for entity in job.document.get(kind, ())
        ]

    @property
    def stored(self) -> set[str]:
        """The xids of what is there."""
        names = {"a document": "d-1", "10.0.0.1": "i-1", "10.0.0.3": "i-3", "10.0.0.999": "bad"}
        return {names[entity.summary] for entity in self.sandbox.entities()}

    @property
    def files(self) -> dict[str, bytes]:
        """The contents that are there, by xid."""
        return {xid: file.content for xid, file in self.sandbox.files.items()}

    @property
    def written(self) -> list[str]:
        """The texts of the attributes that are there."""
        return [text.value for entity in self.sandbox.entities() for text in entity.attributes]

    def secrets(self) -> set[str]:
        """Give what no text may show."""
        shown = set() if self.strike is None else self.strike.shown
        credentials = {value.partition(" ")[2] for value in shown}
        signatures = {value.rpartition(":")[2] for value in credentials}
        return {self.sandbox.secret_key, *self.tokens, *shown, *credentials, *signatures}
