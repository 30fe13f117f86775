"""
Misbehaving on purpose: what can go wrong at an endpoint or with a job, and when.

::

    sandbox.faults.add("upload", Reset(), times=1)             # the first upload breaks off
    sandbox.faults.add("status", rate_limited(2), probability=0.1)
    sandbox.faults.add("*", Latency(0.2))
    sandbox.faults.add("job", StuckJob(), times=1)

Endpoints have the names ``create``, ``upload``, ``create_and_upload``, ``status``, ``errors``,
``results``, ``file_upload``, ``file_download``, ``owners``, ``whoami``, ``types``,
``attribute_types``, ``tags``, ``groups``, ``groups_delete``, ``indicators``,
``indicators_delete`` and ``token``; ``*`` and the like match several. ``job`` is what happens to a
job itself.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from aiotcbatch.errors import ConfigurationError
from aiotcbatch.sandbox.misbehaviour import (
    FailedJob,
    JobFault,
    Latency,
    PoisonedJob,
    Reset,
    SlowDrip,
    StuckJob,
    Truncated,
    WrongContentType,
    WrongShape,
    bad_gateway,
    forbidden,
    internal_error,
    rate_limited,
    storage_full,
    unauthorized,
    unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch.sandbox.misbehaviour import Fault

__all__ = ["ENDPOINTS", "Faults", "Rule", "parse"]

#: What rules can be about: requests, and jobs themselves.
ENDPOINTS = (
    "create",
    "upload",
    "create_and_upload",
    "status",
    "errors",
    "results",
    "file_upload",
    "file_download",
    "owners",
    "whoami",
    "types",
    "attribute_types",
    "tags",
    "groups",
    "groups_delete",
    "indicators",
    "indicators_delete",
    "token",
    "job",
)


@dataclass
class Rule:
    """
    When a fault happens.

    Attributes:
        endpoint: The endpoint's name, or a pattern such as ``file_*``.
        fault: What happens.
        times: How often at most, None for always.
        after: How many matching requests pass first.
        probability: How likely it is each time, from 0 to 1.
        hits: How often it happened.
    """

    endpoint: str
    fault: Fault | JobFault
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    hits: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        if not any(fnmatchcase(name, self.endpoint) for name in ENDPOINTS):
            accepted = f"one of {', '.join(ENDPOINTS)}, or a pattern of some"
            raise ConfigurationError("endpoint", self.endpoint, accepted, about="Rule")
        if not 0 <= self.probability <= 1:
            raise ConfigurationError("probability", self.probability, "0 to 1", about="Rule")
        is_job = isinstance(self.fault, JobFault)
        if is_job != (self.endpoint == "job"):
            raise ConfigurationError(
                "fault", self.fault, "a fault of a job for 'job', else one of a request"
            )

    def strikes(self, endpoint: str, chance: random.Random) -> bool:
        """Decide whether it happens to a request, and count."""
        if not fnmatchcase(endpoint, self.endpoint):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.hits >= self.times):
            return False
        if self.probability < 1 and chance.random() >= self.probability:
            return False
        self.hits += 1
        return True


class Faults:
    """
    All rules of a sandbox; of those that apply to a request the first one that strikes counts.

    Args:
        seed: Makes what is left to chance the same in every run.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311  (a game, no secret)
        self.rules: list[Rule] = []

    def add(
        self,
        endpoint: str,
        fault: Fault | JobFault,
        *,
        times: int | None = None,
        after: int = 0,
        probability: float = 1.0,
    ) -> Rule:
        """
        Let something go wrong from now on.

        Args:
            endpoint: The endpoint's name, or a pattern such as ``file_*``.
            fault: What happens.
            times: How often at most, None for always.
            after: How many matching requests pass first.
            probability: How likely it is each time.

        Returns:
            The rule, which counts its hits.

        Raises:
            ConfigurationError: There is no such endpoint, the probability is none, or the fault
                is not one of the endpoint.
        """
        rule = Rule(endpoint, fault, times, after, probability)
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Let nothing go wrong any more, and begin anew with what is left to chance."""
        self.rules.clear()
        self._chance = random.Random(self._seed)  # noqa: S311  (as above)

    def of_request(self, endpoint: str) -> Fault | None:
        """Decide what happens to a request."""
        found = self._striking(endpoint)
        return None if isinstance(found, JobFault) else found

    def of_job(self) -> JobFault | None:
        """Decide what happens to a job."""
        found = self._striking("job")
        return found if isinstance(found, JobFault) else None

    def _striking(self, endpoint: str) -> Fault | JobFault | None:
        for rule in self.rules:
            if (rule.endpoint == "job") == (endpoint == "job") and rule.strikes(
                endpoint, self._chance
            ):
                return rule.fault
        return None


def parse(text: str) -> Rule:
    """
    Read a rule as the command line has it: ``ENDPOINT=FAULT[:VALUE][,times=N][,after=N][,p=P]``.

    Faults are ``latency:SECONDS``, ``reset``, ``reset:BYTES``, ``lost`` (carried out, the answer
    lost), ``401``, ``403``, ``429[:RETRY_AFTER]``, ``500``, ``502``, ``503[:RETRY_AFTER]``,
    ``truncated[:PART]``, ``drip[:PAUSE]``, ``type[:CONTENT_TYPE]``, ``shape[:JSON]``, ``full``,
    and for the endpoint ``job`` ``stuck``, ``failed[:REASON]`` and ``poisoned:XID``.

    Args:
        text: Such as ``upload=503:2,times=3`` or ``status=reset,p=0.1``.

    Returns:
        The rule.

    Raises:
        ConfigurationError: It is none.
    """
    endpoint, mark, rest = text.partition("=")
    name, *options = rest.split(",")
    name, _, value = name.partition(":")
    try:
        if not mark or not endpoint:
            raise ValueError(text)  # noqa: TRY301  (one place words all of them)
        given = {"times": "", "after": "0", "p": "1"}
        for option in options:
            key, _, one = option.partition("=")
            if key not in given:
                raise ValueError(option)  # noqa: TRY301  (as above)
            given[key] = one
        return Rule(
            endpoint,
            _NAMED[name](value),
            int(given["times"]) if given["times"] else None,
            int(given["after"]),
            float(given["p"]),
        )
    except (KeyError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        form = "ENDPOINT=FAULT[:VALUE][,times=N][,after=N][,p=P]"
        accepted = f"{form}, where FAULT is one of {', '.join(_NAMED)}"
        raise ConfigurationError("fault", text, accepted) from error


_NAMED: dict[str, Callable[[str], Fault | JobFault]] = {
    "latency": lambda value: Latency(float(value)),
    "reset": lambda value: Reset(after_bytes=int(value or 0)),
    "lost": lambda _: Reset(after_done=True),
    "401": lambda _: unauthorized(),
    "403": lambda _: forbidden(),
    "429": lambda value: rate_limited(value or 1),
    "500": lambda _: internal_error(),
    "502": lambda _: bad_gateway(),
    "503": lambda value: unavailable(value or None),
    "truncated": lambda value: Truncated(float(value or 0.5)),
    "drip": lambda value: SlowDrip(pause=float(value or 0.1)),
    "type": lambda value: WrongContentType(value or "text/html"),
    "shape": lambda value: WrongShape((value or "[]").encode()),
    "full": lambda _: storage_full(),
    "stuck": lambda _: StuckJob(),
    "poisoned": lambda value: PoisonedJob(frozenset({value})),
    "failed": lambda value: FailedJob(reason=value or FailedJob.reason),
}
