"""
Reading the misp-galaxy clusters of ATT&CK.

Everything here is synchronous and pure but for `read`, which is meant for a worker thread.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.errors import ConfigurationError, UsageError
from aiotcbatch.sources.attack.model import KINDS, AttackObject, Kind, Relation, Statistics
from aiotcbatch.sources.mapping import MAX_NAME, shorten, unique

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["assemble", "clean_text", "installed_directory", "read", "withdrawn_reason"]

_PACKAGE = "pymispgalaxies"
_SITE = "https://attack.mitre.org/"

_CITATION = re.compile(r"\s*\(Citation: (?:[^()]|\([^()]*\))*\)")
_CODE = re.compile(r"<code>(.*?)</code>", re.DOTALL)
_BREAK = re.compile(r"<br ?/?>")
#: The clusters carry no flag for deprecation: ATT&CK says it in the first sentence.
_DEPRECATED = re.compile(
    r"\W*(?:This (?:object|technique|entry)|\[[^\]]+\]\([^)]+\)) (?:is|was|has been) deprecated",
    re.IGNORECASE,
)
_SMALL_WORDS = frozenset({"and", "of", "the"})
_DOMAINS = {"attack": "Enterprise", "mobile": "Mobile", "pre": "PRE"}


def installed_directory() -> tuple[Path, str]:
    """
    Find the clusters that pymispgalaxies carries, without importing it.

    Returns:
        Their directory, and the package's name and version.

    Raises:
        UsageError: When the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"the ATT&CK data are not installed: pip install 'aiotcbatch[demo]' brings {_PACKAGE}"
        )
    directory = Path(spec.origin).parent / "data" / "misp-galaxy" / "clusters"
    return directory, f"{_PACKAGE} {importlib.metadata.version(_PACKAGE)}"


def read(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """
    Read the clusters of all kinds.

    Args:
        directory: Where they are, as ``<cluster>.json``.

    Returns:
        The entries, by group type.

    Raises:
        ConfigurationError: When a cluster is missing there, or is not one.
    """
    return {kind.group_type: _read_cluster(directory, kind) for kind in KINDS}


def _read_cluster(directory: Path, kind: Kind) -> list[dict[str, Any]]:
    path = directory / f"{kind.cluster}.json"
    try:
        values = orjson.loads(path.read_bytes())["values"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        accepted = f"a directory of misp-galaxy clusters; {path.name}: {error}"
        raise ConfigurationError("directory", str(directory), accepted) from error
    return [value for value in values if value.get("uuid") and value.get("value")]


def assemble(
    clusters: Mapping[str, Sequence[dict[str, Any]]], *, namespace: str, withdrawn: bool
) -> tuple[tuple[AttackObject, ...], tuple[Relation, ...], Statistics]:
    """
    Make objects and relations of entries, leaving out what has no place.

    Args:
        clusters: The entries by group type, as `read` gives them.
        namespace: What xids begin with.
        withdrawn: Whether to keep what ATT&CK has withdrawn.

    Returns:
        The objects, by kind and external id; the relations between them; and the figures.
    """
    entries, repeated_objects = _each_once(clusters)
    reasons = {uuid: withdrawn_reason(group_type, e) for uuid, (group_type, e) in entries.items()}
    kept = {uuid for uuid, reason in reasons.items() if withdrawn or not reason}
    objects = _objects(entries, kept, reasons, namespace)
    relations, figures = _relations(entries, kept)
    statistics = Statistics(
        objects_read=len(entries) + repeated_objects,
        objects=len(objects),
        withdrawn=dict(Counter(reasons[uuid] for uuid in entries if uuid not in kept)),
        repeated_objects=repeated_objects,
        **figures,
    )
    return objects, relations, statistics


def _each_once(
    clusters: Mapping[str, Sequence[dict[str, Any]]],
) -> tuple[dict[str, tuple[str, dict[str, Any]]], int]:
    entries: dict[str, tuple[str, dict[str, Any]]] = {}
    repeated = 0
    for kind in KINDS:
        for entry in clusters[kind.group_type]:
            if entry["uuid"] in entries:
                repeated += 1
            else:
                entries[entry["uuid"]] = (kind.group_type, entry)
    return entries, repeated


def withdrawn_reason(group_type: str, entry: Mapping[str, Any]) -> str:
    """
    Tell why ATT&CK has withdrawn an entry.

    Args:
        group_type: The group type that it would become.
        entry: The entry of the cluster.

    Returns:
        ``revoked`` where it is flagged so, ``deprecated`` where its first sentence says so,
        ``replaced`` for a mitigation of the time when each was tied to one technique and bore its
        id (ATT&CK replaced them all by M numbers in 2019), else "".
    """
    if entry.get("revoked"):
        return "revoked"
    if _DEPRECATED.match(entry.get("description") or ""):
        return "deprecated"
    if group_type == "Course of Action" and _external_id(entry).startswith("T"):
        return "replaced"
    return ""


def _external_id(entry: Mapping[str, Any]) -> str:
    return str(entry.get("meta", {}).get("external_id") or "")


def _objects(
    entries: Mapping[str, tuple[str, dict[str, Any]]],
    kept: set[str],
    reasons: Mapping[str, str],
    namespace: str,
) -> tuple[AttackObject, ...]:
    order = {kind.group_type: position for position, kind in enumerate(KINDS)}
    objects = [_object(entries, uuid, reasons[uuid], namespace) for uuid in entries if uuid in kept]
    objects.sort(key=lambda item: (order[item.group_type], item.external_id, item.uuid))
    return tuple(objects)


def _object(
    entries: Mapping[str, tuple[str, dict[str, Any]]], uuid: str, reason: str, namespace: str
) -> AttackObject:
    group_type, entry = entries[uuid]
    meta = entry.get("meta", {})
    name = _short_name(entry)
    references = unique(meta.get("refs", ()))
    url = next((ref for ref in references if ref.startswith(_SITE)), "")
    phases = [_phase(phase) for phase in meta.get("kill_chain", ())]
    return AttackObject(
        group_type=group_type,
        uuid=uuid,
        xid=f"{namespace}:{uuid}",
        external_id=_external_id(entry),
        name=_full_name(name, _parent_name(entries, entry)),
        description=clean_text(entry.get("description") or ""),
        url=url,
        aliases=unique(alias for alias in meta.get("synonyms", ()) if alias != name),
        references=tuple(reference for reference in references if reference != url),
        platforms=unique(meta.get("mitre_platforms", ())),
        tactics=unique(tactic for _, tactic in phases),
        domains=unique(domain for domain, _ in phases),
        withdrawn=reason,
    )


def _short_name(entry: Mapping[str, Any]) -> str:
    return str(entry["value"]).removesuffix(f" - {_external_id(entry)}").strip()


def _parent_name(
    entries: Mapping[str, tuple[str, dict[str, Any]]], entry: Mapping[str, Any]
) -> str:
    for relation in entry.get("related", ()):
        if relation.get("type") == "subtechnique-of" and relation.get("dest-uuid") in entries:
            return _short_name(entries[relation["dest-uuid"]][1])
    return ""


def _full_name(name: str, parent: str) -> str:
    """Name the parent too where that fits: many sub-techniques are called just 'Domains'."""
    if parent and len(f"{parent}: {name}") <= MAX_NAME:
        return f"{parent}: {name}"
    return shorten(name, MAX_NAME)


def _phase(phase: str) -> tuple[str, str]:
    """Cut ``attack-Windows:defense-evasion`` into domain and tactic, as people write them."""
    chain, _, tactic = phase.partition(":")
    domain = _DOMAINS.get(chain.partition("-")[0], "")
    words = tactic.split("-")
    return domain, " ".join(word if word in _SMALL_WORDS else word.capitalize() for word in words)


def clean_text(text: str) -> str:
    """
    Make plain Markdown of an ATT&CK description.

    Args:
        text: Markdown with citation marks and a little HTML.

    Returns:
        The text without ``(Citation: ...)``, which point to a list that is not there, and with
        Markdown for ``<code>`` and ``<br>``.
    """
    text = _CITATION.sub("", text)
    text = _BREAK.sub("\n", text)
    return _CODE.sub(r"`\1`", text).strip()


def _relations(
    entries: Mapping[str, tuple[str, dict[str, Any]]], kept: set[str]
) -> tuple[tuple[Relation, ...], dict[str, Any]]:
    pairs: dict[frozenset[str], Relation] = {}
    dangling: Counter[str] = Counter()
    total = repeated = own = withdrawn = 0
    for relation in _named_relations(entries.values()):
        total += 1
        pair = frozenset((relation.source, relation.target))
        if relation.target not in entries:
            dangling[relation.type] += 1
        elif len(pair) == 1:
            own += 1
        elif not pair <= kept:
            withdrawn += 1
        elif pair in pairs:
            repeated += 1
        else:
            pairs[pair] = relation
    figures = {
        "relations_read": total,
        "relations": len(pairs),
        "repeated_relations": repeated,
        "self_relations": own,
        "withdrawn_relations": withdrawn,
        "dangling_relations": dict(dangling),
    }
    return tuple(pairs.values()), figures


def _named_relations(
    entries: Iterable[tuple[str, Mapping[str, Any]]],
) -> Iterator[Relation]:
    for _, entry in entries:
        for related in entry.get("related", ()):
            yield Relation(entry["uuid"], related.get("type", ""), related.get("dest-uuid", ""))
