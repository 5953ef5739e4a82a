"""What was said before of the same time: by packs of an archive, or by an earlier reassessment.

Of a pack its evidence.json is read, which has to be the file that its manifest names. Its signature is not checked here; `evidence verify` does that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evidence.canonical import digest
from evidence.errors import ReportError, SealError, UsageError
from evidence.frameworks.model import Strength, Verdict
from evidence.pipeline.fleet.folder import SUMMARY, UNITS, read_unit, unit_path
from evidence.pipeline.fleet.results import Finding, Moment, moments_of
from evidence.seal.manifest import EVIDENCE, MANIFEST, read_manifest

if TYPE_CHECKING:
    from evidence.archive.entries import Entry

Result = tuple[Verdict, Strength | None]


@dataclass(frozen=True, slots=True)
class PackSaid:
    """What one pack says. `roots` are those of its snapshots; the period's end is exclusive."""

    name: str
    framework: str
    cluster: str
    start: datetime
    end: datetime
    generated_at: datetime
    expected_every: timedelta
    roots: frozenset[str]
    results: Mapping[str, Result]
    findings: Mapping[str, Finding]


@dataclass(frozen=True, slots=True)
class Before:
    """Either an archive of packs (`entries`, those of it that count), or the folder of a reassessment. `left_out`: folders that are no whole
    pack, and why."""

    folder: Path
    entries: "tuple[Entry, ...] | None" = None
    left_out: tuple[tuple[str, str], ...] = ()

    def packs(self, cluster: str) -> "Iterator[PackSaid | tuple[str, str]]":
        """What the packs of a cluster say, each read when its turn comes; or a pack's name and why it could not be read."""
        for entry in self.entries or ():
            if entry.cluster == cluster:
                try:
                    yield _pack(self.folder / entry.folder, entry.folder)
                except (ReportError, SealError) as error:
                    yield entry.folder, str(error)

    def month(self, cluster: str, month: str) -> Mapping[str, Any] | None:
        """An earlier reassessment's file of one month; None when it has none."""
        try:
            return read_unit(unit_path(self.folder, cluster, month))
        except FileNotFoundError:
            return None


def read_before(folder: Path) -> Before:
    """What a folder holds of either kind. Raises UsageError for a folder of neither."""
    from evidence.archive.entries import read_archive

    if (folder / SUMMARY).is_file() or (folder / UNITS).is_dir():
        return Before(folder)
    if not folder.is_dir():
        raise UsageError(
            f"--against {folder}: there is no such folder; give an archive of packs, one pack, or an earlier --to"
        )
    single = (folder / MANIFEST).is_file()
    archive = read_archive(folder.parent if single else folder)
    if single:
        entries = [entry for entry in archive.entries if entry.folder == folder.name]
        broken = [one for one in archive.broken if one.folder == folder.name]
        found = Before(folder.parent, tuple(entries), tuple((one.folder, one.reason) for one in broken))
    else:
        entries = sorted((entry for entry in archive.entries if not entry.superseded), key=lambda entry: entry.folder)
        found = Before(folder, tuple(entries), tuple((one.folder, one.reason) for one in archive.broken))
    if not found.entries and not found.left_out:
        raise UsageError(f"--against {folder}: holds neither packs nor a reassessment")
    return found


def _pack(folder: Path, name: str) -> PackSaid:
    try:
        manifest = read_manifest((folder / MANIFEST).read_bytes())
        content = (folder / EVIDENCE).read_bytes()
    except OSError as error:
        raise ReportError(f"cannot be read: {error.strerror}") from error
    named = [one["sha256"] for one in manifest["files"] if one["path"] == EVIDENCE]
    if named != [digest(content)]:
        raise ReportError(f"its {EVIDENCE} is not the file that its {MANIFEST} names")
    try:
        value = json.loads(content)
        cover, population = value["cover"], value["population"]
        return PackSaid(
            name=name,
            framework=cover["framework_id"],
            cluster=cover["cluster"],
            start=datetime.fromisoformat(cover["period_start"]),
            end=datetime.fromisoformat(cover["period_end"]),
            generated_at=datetime.fromisoformat(cover["generated_at"]),
            expected_every=timedelta(seconds=population["coverage"]["expected_every_seconds"]),
            roots=frozenset(snapshot["root_digest"] for snapshot in population["snapshots"]),
            results={control["id"]: _result(control) for control in value["controls"]},
            findings={finding["fingerprint"]: _finding(finding) for finding in value["findings"]},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"its {EVIDENCE} does not say what it must") from error


def _result(control: Mapping[str, Any]) -> Result:
    strength = control["strength"]
    return Verdict(control["verdict"]), Strength(strength) if strength else None


def _finding(finding: Mapping[str, Any]) -> Finding:
    return {
        "fingerprint": finding["fingerprint"],
        "rule": finding["rule_id"],
        "severity": finding["severity"],
        "subject": finding["subject"],
    }


def earlier_moments(months: Sequence[Mapping[str, Any]]) -> tuple[Moment, ...]:
    """The moments of an earlier reassessment's months. Raises ReportError when a control result there is of another version."""
    try:
        return moments_of(months)
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError("the earlier reassessment's files do not say what they must") from error
