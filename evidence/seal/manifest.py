"""The files of a pack: the names they may have, SHA256SUMS and manifest.json.

SHA256SUMS is what is signed. It lists every file but itself, its signature and its timestamp, in the form of GNU `sha256sum` in binary-safe text mode
(hex, two spaces, path), sorted by path. manifest.json says the same with sizes, for programs, and is itself listed there.

Names are kept so plain that no tool on any system can read one differently: printable ASCII without the characters that Windows, a
shell or sha256sum treat specially, no two that differ in case alone.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from evidence.canonical import canonical_json, digest
from evidence.errors import SealError
from evidence.seal.keys import Signer

FORMAT = "evidence-pack/1"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.p7s"
SUMS_STAMP = "SHA256SUMS.tsr"
SIGNER = "signer.pem"
HOW_TO = "HOW-TO-VERIFY.txt"
REPORT = "report.pdf"
EVIDENCE = "evidence.json"
PAGE = "index.html"
UNLISTED = frozenset({SUMS, SIGNATURE, SUMS_STAMP})
REQUIRED = frozenset({MANIFEST, SUMS, SIGNATURE, SIGNER, HOW_TO, REPORT, PAGE, EVIDENCE})

_PART = re.compile(r"[A-Za-z0-9_+@=,()\[\]][A-Za-z0-9._+@=,()\[\] -]*", re.ASCII)
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.ASCII | re.IGNORECASE)
_LONGEST_PATH = 240  # Windows' limit of 260, less a short folder
_LINE = re.compile(r"([0-9a-f]{64})  (.+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listed:
    """One file as SHA256SUMS or the manifest names it."""

    path: str
    sha256: str


def bad_path(path: str) -> str:
    """Why a pack may not hold a file of this name; "" when it may."""
    if not path or len(path) > _LONGEST_PATH:
        return "is empty" if not path else f"is longer than {_LONGEST_PATH} characters"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "leads out of the pack" if part == ".." or path.startswith("/") else "has an empty part"
        if not _PART.fullmatch(part) or part[-1] in ". ":
            return "has characters that some systems read differently"
        if _DEVICES.fullmatch(part):
            return "is the name of a device on Windows"
    return ""


def clashes(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that are one file, or a file and a folder, on a system that ignores case."""
    seen: dict[str, str] = {}
    found = []
    ordered = sorted(paths)
    for path in ordered:
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            found.append((other, path))
    for path in ordered:
        parts = path.casefold().split("/")
        found += [(seen[above], path) for n in range(1, len(parts)) if (above := "/".join(parts[:n])) in seen]
    return found


def check_paths(paths: Iterable[str]) -> None:
    """Raises SealError for a name that a pack may not hold."""
    known = list(paths)
    for path in known:
        if problem := bad_path(path):
            raise SealError(f"the pack cannot hold a file {path!r}: the name {problem}")
    for first, second in clashes(known):
        raise SealError(f"the pack cannot hold both {first!r} and {second!r}: some systems take them for one")


# -- SHA256SUMS -------------------------------------------------------------------------------------------------------


def sums(files: Mapping[str, bytes]) -> bytes:
    """SHA256SUMS over all files but itself, its signature and its timestamp."""
    listed = sorted(path for path in files if path not in UNLISTED)
    return "".join(f"{digest(files[path])}  {path}\n" for path in listed).encode("ascii")


def read_sums(data: bytes) -> dict[str, str]:
    """Path -> hex SHA-256. Raises SealError for anything but the form that `sums` writes."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise SealError(f"{SUMS}: not plain ASCII") from error
    if not text.endswith("\n"):
        raise SealError(f"{SUMS}: the last line is cut")
    listed: dict[str, str] = {}
    for number, line in enumerate(text[:-1].split("\n"), 1):
        match = _LINE.fullmatch(line)
        if not match or match[2] in UNLISTED:
            raise SealError(f"{SUMS}:{number}: not a line of a pack's list")
        if problem := bad_path(match[2]):
            raise SealError(f"{SUMS}:{number}: the name {match[2]!r} {problem}")
        if match[2] in listed:
            raise SealError(f"{SUMS}:{number}: {match[2]} is listed twice")
        listed[match[2]] = match[1]
    if list(listed) != sorted(listed):
        raise SealError(f"{SUMS}: not sorted by path")
    return listed


# -- manifest.json ----------------------------------------------------------------------------------------------------


def pack_id(files: Mapping[str, bytes], signer: Signer, summary: Mapping[str, Any]) -> str:
    """Name of a pack: 32 hex digits over its unsigned files, summary and signer. Same inputs and key, same name."""
    content = {path: digest(content) for path, content in files.items()}
    value = {"files": content, "signer": signer.fingerprint, "summary": dict(summary)}
    return digest(canonical_json(value))[:32]


def manifest(
    files: Mapping[str, bytes], signer: Signer, at: datetime, summary: Mapping[str, Any], identifier: str
) -> bytes:
    """manifest.json over the given files (all but itself, SHA256SUMS and the signature)."""
    value = {
        "format": FORMAT,
        "pack_id": identifier,
        "generated_at": at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "summary": dict(summary),
        "signer": {
            "name": signer.name,
            "sha256": signer.fingerprint,
            "self_signed": signer.self_signed,
            "valid_until": signer.certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
        },
        "files": [{"path": path, "size": len(files[path]), "sha256": digest(files[path])} for path in sorted(files)],
    }
    return (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def read_manifest(data: bytes) -> dict[str, Any]:
    """The manifest as JSON. Raises SealError when it is not an object of the format that this program knows."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SealError(f"{MANIFEST}: not JSON") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise SealError(f"{MANIFEST}: not of the format {FORMAT}")
    for key, kind in (("pack_id", str), ("generated_at", str), ("summary", dict), ("signer", dict), ("files", list)):
        if not isinstance(value.get(key), kind):
            raise SealError(f"{MANIFEST}: {key} is missing or of the wrong type")
    return value


def about(summary: Mapping[str, Any]) -> str:
    """What a pack is about, in one line: framework, cluster, first and last day. What the summary lacks, or has of another type, is left out."""
    title = _text(summary, "framework_title") or _text(summary, "framework")
    cluster = _text(summary, "cluster")
    parts = (
        title,
        f"cluster {cluster}" if cluster else "",
        _period(_text(summary, "period_start"), _text(summary, "period_end")),
        "SAMPLE DATA, not a real cluster" if summary.get("sample") is not False else "",
    )
    return ", ".join(part for part in parts if part)


def _text(summary: Mapping[str, Any], key: str) -> str:
    value = summary.get(key)
    return value if isinstance(value, str) else ""


def _period(start: str, end: str) -> str:
    """First and last day; `end` is the first moment that is no longer in the period."""
    try:
        last = datetime.fromisoformat(end) - timedelta(seconds=1)
        return f"{datetime.fromisoformat(start):%Y-%m-%d} to {last:%Y-%m-%d}"
    except (ValueError, OverflowError):
        return ""
