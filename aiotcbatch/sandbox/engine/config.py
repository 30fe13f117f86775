"""The configuration of a batch job: what it may say and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Config", "ConfigError"]


class ConfigError(Exception):
    """The configuration says something that is not allowed; the text says what."""


@dataclass(frozen=True, slots=True)
class Config:
    """
    A job's configuration, checked. Source: v2 Batch API, batch job parameters.

    Attributes:
        owner: The owner's name.
        delete: Whether what matches is deleted instead of written.
        halt: Whether the job stops at the first error.
        attributes: ``Append``, ``Replace``, ``Singleton`` or ``Static``.
        tags: ``Append`` or ``Replace``.
        labels: ``Append`` or ``Replace``.
        version: ``V1`` or ``V2``.
        merge: ``Merge`` or ``Distribute``.
        collision: What happens to Files that disagree about a hash.
    """

    owner: str
    delete: bool
    halt: bool
    attributes: str
    tags: str
    labels: str
    version: str
    merge: str
    collision: str


_CHOICES: dict[str, tuple[str, ...]] = {
    "action": ("Create", "Delete"),
    "attributeWriteType": ("Replace", "Append", "Singleton", "Static"),
    "tagWriteType": ("Replace", "Append"),
    "securityLabelWriteType": ("Replace", "Append"),
    "version": ("V1", "V2"),
    "fileMergeMode": ("Merge", "Distribute"),
    "hashCollisionMode": (
        "FavorIncoming",
        "FavorExisting",
        "IgnoreIncoming",
        "IgnoreExisting",
        "Split",
    ),
}


def read(value: Any) -> Config:
    """
    Check a configuration.

    Args:
        value: The decoded JSON that the client sent.

    Returns:
        What it means.

    Raises:
        ConfigError: A name or a value is not exactly what it must be.
    """
    if not isinstance(value, dict):
        raise ConfigError("The batch configuration must be a JSON object")
    owner = value.get("owner")
    if not isinstance(owner, str) or not owner:
        raise ConfigError("owner is required")
    chosen = {name: _choice(value, name) for name in _CHOICES}
    _flag(value, "playbookTriggersEnabled")
    _flag(value, "removeOrphanIndicators")
    return Config(
        owner=owner,
        delete=chosen["action"] == "Delete",
        halt=_flag(value, "haltOnError"),
        attributes=chosen["attributeWriteType"],
        tags=chosen["tagWriteType"],
        labels=chosen["securityLabelWriteType"],
        version=chosen["version"],
        merge=chosen["fileMergeMode"],
        collision=chosen["hashCollisionMode"],
    )


def _choice(value: dict[str, Any], name: str) -> str:
    choices = _CHOICES[name]
    given = value.get(name)
    if given is None:
        return choices[0]
    if given not in choices:
        raise ConfigError(f"{name} must be one of: {', '.join(choices)}")
    return str(given)


def _flag(value: dict[str, Any], name: str) -> bool:
    given = value.get(name, False)
    if given is None or isinstance(given, bool):
        return bool(given)
    if isinstance(given, str) and given.lower() in {"true", "false"}:
        return given.lower() == "true"
    raise ConfigError(f"{name} must be true or false")
