"""Packs of an archive with what their check said, and their files. The log of the store, to which packs prove that they belong.

A file is given only when the pack's manifest or its fixed list names it, and only when it really lies below the pack: no name from outside
is ever joined to a path before that.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from evidence.archive.entries import Entry, read_archive, read_one
from evidence.errors import NotThereError, SealError
from evidence.log.checkpoint import stated
from evidence.seal.manifest import MANIFEST, REQUIRED, read_manifest
from evidence.seal.verify import Outcome, Verification
from evidence.store import Store


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check of a pack; `path` is the file that it is about, "" for the pack as a whole."""

    check: str
    outcome: Outcome
    words: str
    path: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a pack said at a time. `intact`: nothing was changed since it was signed; `trusted`: this server was told to trust the
    signer. It is this server's word: an auditor makes the check alone."""

    at: datetime
    intact: bool
    trusted: bool
    checks: tuple[CheckRow, ...]


@dataclass(frozen=True, slots=True)
class PackRow:
    """A pack as its manifest describes it. `period_end` is exclusive; `superseded`: a later one has the same framework, cluster and period;
    `checked` is null until the pack has been checked."""

    folder: str
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
    superseded: bool
    checked: Checked | None


@dataclass(frozen=True, slots=True)
class BrokenPack:
    """A folder of the archive that is no whole pack, and why."""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True)
class PackList:
    """All packs of the archive, newest first, and folders that are none. `archive` is false when the server was given none."""

    archive: bool
    packs: tuple[PackRow, ...]
    broken: tuple[BrokenPack, ...]


@dataclass(frozen=True, slots=True)
class PackFile:
    """A file of a pack; `size` in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class PackView:
    """One pack, every check of it, and its files."""

    pack: PackRow
    files: tuple[PackFile, ...]


@dataclass(frozen=True, slots=True)
class LogView:
    """The store's Merkle log: its size and root (hex) now, and the checkpoint that was signed last ("" when none was), of which `signed_size` and
    `signed_by` are what it says."""

    size: int
    root: str
    checkpoint: str
    signed_size: int | None
    signed_by: str


def pack_list(archive: Path | None, checked: Mapping[str, Checked]) -> PackList:
    """`checked` by folder. Raises ReportError when the archive cannot be read."""
    if archive is None:
        return PackList(False, (), ())
    found = read_archive(archive)
    return PackList(
        True,
        tuple(_row(entry, checked.get(entry.folder)) for entry in found.entries),
        tuple(BrokenPack(one.folder, one.reason) for one in found.broken),
    )


def pack_view(archive: Path | None, folder: str, checked: Checked | None) -> PackView:
    """Raises NotThereError when no whole pack has the name."""
    sizes = _sizes(pack_folder(archive, folder))
    for row in pack_list(archive, {}).packs:
        if row.folder == folder:
            return PackView(replace(row, checked=checked), tuple(PackFile(path, sizes[path]) for path in sorted(sizes)))
    raise NotThereError(f"there is no pack {folder} here")


def pack_folder(archive: Path | None, folder: str) -> Path:
    """The folder of a whole pack. Raises NotThereError."""
    if archive is None or not isinstance(read_one(archive, folder), Entry):
        raise NotThereError(f"there is no pack {folder} here")
    return archive / folder


def pack_file(archive: Path | None, folder: str, path: str) -> Path:
    """Where a file of a pack lies. Raises NotThereError for what the pack does not name, and for a link that leads out of it."""
    below = pack_folder(archive, folder)
    if path not in _sizes(below):
        raise NotThereError(f"the pack {folder} has no file {path}")
    where = below / path
    inside = where.resolve().is_relative_to(below.resolve()) and not below.is_symlink()
    if not inside or not stat.S_ISREG(where.lstat().st_mode):
        raise NotThereError(f"the pack {folder} has no file {path}")
    return where


def checked(answer: Verification, at: datetime) -> Checked:
    return Checked(
        at,
        answer.intact,
        answer.trusted,
        tuple(CheckRow(one.name, one.outcome, one.words, one.path) for one in answer.checks),
    )


def log_view(store: Store) -> LogView:
    head, note = store.log_head(), store.newest_checkpoint() or ""
    try:
        signed_by, signed = stated(note) if note else ("", None)
    except SealError:
        signed_by, signed = "", None
    return LogView(head.size, head.root, note, signed.size if signed else None, signed_by)


def _sizes(folder: Path) -> dict[str, int]:
    """Size of each file that the manifest names, and of those that every pack has."""
    listed = {str(one["path"]): int(one["size"]) for one in read_manifest((folder / MANIFEST).read_bytes())["files"]}
    for name in REQUIRED - listed.keys():
        listed[name] = (folder / name).stat().st_size
    return listed


def _row(entry: Entry, found: Checked | None) -> PackRow:
    return PackRow(
        folder=entry.folder,
        framework=entry.framework,
        framework_title=entry.framework_title,
        cluster=entry.cluster,
        organisation=entry.organisation,
        period_start=entry.period_start,
        period_end=entry.period_end,
        generated_at=entry.generated_at,
        verdicts=entry.verdicts,
        open_findings=entry.open_findings,
        sample=entry.sample,
        signer=entry.signer,
        fingerprint=entry.fingerprint,
        superseded=entry.superseded,
        checked=found,
    )
