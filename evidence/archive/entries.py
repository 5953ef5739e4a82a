"""What lies in an archive folder: one entry a pack, and what is no whole pack, with the reason.

A folder is listed from its manifest. Every file that the manifest names must be there with its size; digests and signatures are not
checked here (that is `evidence verify`), so that an archive of years is indexed in a moment. Nothing is skipped: a folder that cannot be
listed is an entry of its own.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from evidence.errors import ReportError, SealError
from evidence.findings.finding import Severity
from evidence.frameworks.judge import Verdict
from evidence.seal.manifest import MANIFEST, REQUIRED, bad_path, read_manifest

_MOST_MANIFEST_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Entry:
    """One pack. `folder`: its name in the archive; the period ends before `period_end`; times are aware.

    `superseded`: a later pack has the same framework, cluster and period.
    """

    folder: str
    pack_id: str
    framework: str
    framework_title: str
    cluster: str
    organisation: str
    period_start: datetime
    period_end: datetime
    generated_at: datetime
    verdicts: Mapping[str, int]
    open_findings: Mapping[str, int]
    sample: bool
    signer: str
    fingerprint: str
    superseded: bool = False

    @property
    def last_day(self) -> datetime:
        return self.period_end - timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Broken:
    """A folder of the archive that is no whole pack, and why."""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True)
class Archive:
    """Packs, newest first, and broken folders by name."""

    entries: tuple[Entry, ...]
    broken: tuple[Broken, ...]


def read_archive(folder: Path) -> Archive:
    """Every folder below an archive but hidden ones, which are packs being written. Raises ReportError when it cannot be read."""
    found = [_entry(folder / name, name) for name in _names(folder)]
    entries = [one for one in found if isinstance(one, Entry)]
    return Archive(_newest_first(entries), tuple(one for one in found if isinstance(one, Broken)))


def read_one(folder: Path, name: str) -> Entry | Broken | None:
    """One folder of an archive, None when nothing directly below it has the name. Whether a later pack is about the same is not looked at.

    Raises ReportError when the archive cannot be read.
    """
    return _entry(folder / name, name) if name in _names(folder) else None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise ReportError(
            f"{folder}: the archive cannot be read: {error.strerror}; give the folder in which the packs are"
        ) from error


def _newest_first(entries: list[Entry]) -> tuple[Entry, ...]:
    ordered = sorted(sorted(entries, key=lambda one: one.folder), key=lambda one: one.generated_at, reverse=True)
    seen = set()
    marked = []
    for entry in ordered:
        about = (entry.framework, entry.cluster, entry.period_start, entry.period_end)
        marked.append(replace(entry, superseded=about in seen))
        seen.add(about)
    return tuple(marked)


def _entry(path: Path, name: str) -> Entry | Broken:
    try:
        manifest_path = path / MANIFEST
        if not manifest_path.is_file():
            return Broken(name, f"it has no {MANIFEST}")
        if manifest_path.stat().st_size > _MOST_MANIFEST_BYTES:
            return Broken(name, f"its {MANIFEST} is larger than any that this program writes")
        manifest = read_manifest(manifest_path.read_bytes())
        if problem := _incomplete(path, manifest["files"]):
            return Broken(name, problem)
        return _from_manifest(name, manifest)
    except SealError as error:
        return Broken(name, str(error))
    except OSError as error:
        return Broken(name, f"it cannot be read: {error.strerror}")
    except (
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        AttributeError,
    ):  # a value of the manifest that is not what this program writes
        return Broken(name, f"its {MANIFEST} does not say what it must")


def _incomplete(path: Path, files: list[Any]) -> str:
    """The first file that is missing or of another size; "" when none is."""
    sizes = {str(one["path"]): int(one["size"]) for one in files}
    for name in sorted(REQUIRED - set(sizes)):
        if not (path / name).is_file():
            return f"{name} is missing"
    for name, size in sizes.items():
        if bad_path(name):
            return f"its {MANIFEST} names a file {name!r} that no pack may hold"
        if not (path / name).is_file():
            return f"{name} is missing"
        if (path / name).stat().st_size != size:
            return f"{name} is not as large as its {MANIFEST} says"
    return ""


def _from_manifest(name: str, manifest: Mapping[str, Any]) -> Entry:
    summary, signer = manifest["summary"], manifest["signer"]
    return Entry(
        folder=name,
        pack_id=manifest["pack_id"],
        framework=_text(summary["framework"]),
        framework_title=_text(summary["framework_title"]),
        cluster=_text(summary["cluster"]),
        organisation=_text(summary["organisation"]),
        period_start=_moment(summary["period_start"]),
        period_end=_moment(summary["period_end"]),
        generated_at=_moment(manifest["generated_at"]),
        verdicts=_counts(summary["verdicts"], [verdict.value for verdict in Verdict]),
        open_findings=_counts(summary["open_findings"], [severity.value for severity in Severity]),
        sample=summary["sample"] is not False,  # anything but a plain "no" is shown as sample data
        signer=_text(signer["name"]),
        fingerprint=_text(signer["sha256"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _counts(value: Mapping[str, Any], names: list[str]) -> dict[str, int]:
    """Numbers by name, in the order of `names`; a name that is not among them is refused, one that is missing counts 0."""
    if set(value) - set(names) or any(type(number) is not int or number < 0 for number in value.values()):
        raise ValueError
    return {name: value.get(name, 0) for name in names}
