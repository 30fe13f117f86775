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

import json
import math
import random
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NoReturn

from aiotcbatch.errors import ConfigurationError
from aiotcbatch.sandbox.fields import check_fields, refuse_unless
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
        check_fields(self)
        if not any(fnmatchcase(name, self.endpoint) for name in ENDPOINTS):
            accepted = f"one of {', '.join(ENDPOINTS)}, or a pattern of some"
            raise ConfigurationError("endpoint", self.endpoint, accepted, about="Rule")
        if self.probability > 1:
            raise ConfigurationError("probability", self.probability, "0 to 1", about="Rule")
        is_job = isinstance(self.fault, JobFault)
        is_fault = is_job or callable(getattr(self.fault, "apply", None))
        accepted = "a fault, such as Reset() or unavailable()"
        # A class of faults is none itself: it has to be called.
        refuse_unless(
            is_fault and not isinstance(self.fault, type), "fault", self.fault, accepted, "Rule"
        )
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
            ConfigurationError: There is no such endpoint, a number is none, or the fault is none
                or not one of the endpoint.
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
    and for the endpoint ``job`` ``stuck``, ``failed[:REASON]`` and ``poisoned:XID``. Only in JSON
    a comma is part of the value.

    Args:
        text: Such as ``upload=503:2,times=3`` or ``status=reset,p=0.1``.

    Returns:
        The rule.

    Raises:
        ConfigurationError: It is none; what is wrong in it is the error's ``field``.
    """
    try:
        return _parsed(text)
    except ConfigurationError as error:
        about = "" if error.value == text else f"fault {text!r}"
        raise ConfigurationError(error.field, error.value, error.accepted, about=about) from None


def _parsed(text: str) -> Rule:
    endpoint, _, rest = text.partition("=")
    name, value, options = _parts(rest)
    if not endpoint or name not in _NAMED:
        form = "ENDPOINT=FAULT[:VALUE][,times=N][,after=N][,p=P]"
        accepted = f"{form}, where FAULT is one of {', '.join(_NAMED)}"
        raise ConfigurationError("fault", text, accepted)
    given: dict[str, str] = {}
    for option in options:
        key, _, one = option.partition("=")
        if key not in _OPTIONS or key in given:
            raise ConfigurationError("option", option, f"{', '.join(_OPTIONS)}, each once")
        given[key] = one
    return Rule(
        endpoint,
        _NAMED[name](value),
        times=_count("times", given["times"], least=1) if "times" in given else None,
        after=_count("after", given.get("after", "0")),
        probability=_number("p", given.get("p", "1"), most=1),
    )


def _parts(rest: str) -> tuple[str, str, list[str]]:
    """Give the name of a fault, its value, and the options behind it."""
    name = re.split("[:,]", rest, maxsplit=1)[0]
    behind = rest[len(name) :]
    value = ""
    if behind.startswith(":"):
        behind = behind[1:]
        end = _end_of_json(behind) if name == "shape" else len(behind.split(",", 1)[0])
        value, behind = behind[:end], behind[end:]
    return name, value, behind[1:].split(",") if behind else []


def _end_of_json(text: str) -> int:
    """Tell how long the JSON is that a text begins with: to the comma behind it, or its end."""
    if text[:1] in {"", ","}:
        return 0
    try:
        end = json.JSONDecoder(parse_constant=_no_constant).raw_decode(text)[1]
        if text[end : end + 1] not in {"", ","}:
            raise ValueError(f"there is {text[end:]!r} behind it")  # noqa: TRY301 (told below)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError("JSON", text, f"JSON ({error})") from None
    return end


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is none")


def _number(what: str, value: str, most: float = math.inf) -> float:
    """Read a number from 0, as it stands in a rule."""
    accepted = "a number from 0" if most == math.inf else f"a number from 0 to {most:g}"
    try:
        number = float(value)
    except ValueError:
        raise ConfigurationError(what, value, accepted) from None
    if not (0 <= number <= most and math.isfinite(number)):
        raise ConfigurationError(what, value, accepted)
    return number


def _count(what: str, value: str, least: int = 0) -> int:
    """Read a whole number."""
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if number < least:
        raise ConfigurationError(what, value, f"a whole number from {least}")
    return number


def _retry_after(value: str) -> str:
    _number("seconds of Retry-After", value)
    return value


def _without(value: str, fault: Fault | JobFault) -> Fault | JobFault:
    """Give a fault that there is no more to say about."""
    if value:
        raise ConfigurationError("value", value, "none for this fault")
    return fault


def _content_type(value: str) -> str:
    if not value.isprintable():  # it would be more than one header
        raise ConfigurationError("content type", value, "one line of text")
    return value


def _xid(value: str) -> str:
    if not value:
        raise ConfigurationError("xid", value, "that of an entity, as in poisoned:XID")
    return value


_OPTIONS = ("times", "after", "p")
_NAMED: dict[str, Callable[[str], Fault | JobFault]] = {
    "latency": lambda value: Latency(_number("seconds", value)),
    "reset": lambda value: Reset(after_bytes=_count("bytes", value or "0")),
    "lost": lambda value: _without(value, Reset(after_done=True)),
    "401": lambda value: _without(value, unauthorized()),
    "403": lambda value: _without(value, forbidden()),
    "429": lambda value: rate_limited(_retry_after(value or "1")),
    "500": lambda value: _without(value, internal_error()),
    "502": lambda value: _without(value, bad_gateway()),
    "503": lambda value: unavailable(_retry_after(value) if value else None),
    "truncated": lambda value: Truncated(_number("part", value or "0.5", most=1)),
    "drip": lambda value: SlowDrip(pause=_number("pause", value or "0.1")),
    "type": lambda value: WrongContentType(_content_type(value or "text/html")),
    "shape": lambda value: WrongShape((value or "[]").encode()),
    "full": lambda value: _without(value, storage_full()),
    "stuck": lambda value: _without(value, StuckJob()),
    "poisoned": lambda value: PoisonedJob(frozenset({_xid(value)})),
    "failed": lambda value: FailedJob(reason=value or FailedJob.reason),
}
