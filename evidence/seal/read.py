"""A pack as bytes, from a folder or a zip, without believing it.

What a pack must not hold (links, devices, names that lead elsewhere or exist twice) is not an error that stops the reading: it is
something found, which `evidence verify` reports with the rest. Only what is no pack at all, or too much for this machine, raises.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evidence.errors import SealError
from evidence.seal.manifest import MANIFEST, SUMS, bad_path

MOST_FILES = 50_000
MOST_BYTES = 2 * 1024**3
EMPTY_FOLDER = "is a folder without a file, which no pack has"
_CHUNK = 1024 * 1024
_ENCRYPTED = 0x1
_LOCAL_HEADER = 30
_UNICODE_PATH = 0x7075  # Info-ZIP's extra field with another name for the file
_END_RECORD = 22
_SIZES_FOLLOW = 0x8  # the file was written to a stream: its CRC and two sizes follow it, with or without a signature, in 32 or 64 bits
_DESCRIPTORS = (12, 16, 20, 24)


@dataclass(frozen=True, slots=True)
class Contents:
    """Files by path below the pack, and what is wrong with the container, one (path, sentence) each."""

    files: dict[str, bytes]
    problems: tuple[tuple[str, str], ...]


def read_pack(path: Path) -> Contents:
    """Everything in a pack's folder or zip. Raises SealError when it cannot be read, is no pack, or exceeds the bounds above."""
    try:
        if path.is_dir():
            contents = _read_folder(path)
        elif zipfile.is_zipfile(path):
            contents = _below_single_folder(_read_zip(path))
        elif path.exists():
            raise SealError(f"{path}: neither a folder nor a zip")
        else:
            raise SealError(f"{path}: there is no such pack")
    except OSError as error:
        raise SealError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    if not contents.files and contents.problems:
        raise SealError(f"{path}: nothing in it can be read: {' '.join(contents.problems[0])}")
    if not {MANIFEST, SUMS} & set(contents.files):
        raise SealError(f"{path}: not an evidence pack: it has neither {MANIFEST} nor {SUMS}")
    return contents


class _Bound:
    """Counts what was read and stops at the bounds."""

    def __init__(self, where: Path) -> None:
        self.where, self.files, self.size = where, 0, 0

    def file(self) -> None:
        self.files += 1
        if self.files > MOST_FILES:
            raise SealError(f"{self.where}: more than {MOST_FILES} files; not read further")

    def add(self, size: int) -> None:
        self.size += size
        if self.size > MOST_BYTES:
            raise SealError(f"{self.where}: more than {MOST_BYTES // 1024**2} MiB; not read further")


# -- folder -----------------------------------------------------------------------------------------------------------


def _read_folder(folder: Path) -> Contents:
    files: dict[str, bytes] = {}
    problems: list[tuple[str, str]] = []
    bound = _Bound(folder)
    for entry in _walk(folder):
        name = os.path.relpath(entry.path, folder).replace(os.sep, "/")
        bound.file()
        if entry.is_dir(follow_symlinks=False):
            problems.append((name, EMPTY_FOLDER))
        elif entry.is_symlink():
            problems.append((name, "is a link, not a file"))
        elif not entry.is_file(follow_symlinks=False):
            problems.append((name, "is neither a file nor a folder"))
        else:
            files[name] = _read_file(entry.path, bound)
    return Contents(files, tuple(problems))


def _walk(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Everything below a folder but the folders that hold something; links are not followed."""
    pending: list[tuple[str, os.DirEntry[str] | None]] = [(str(folder), None)]
    while pending:
        path, itself = pending.pop()
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda one: one.name)
        if itself is not None and not found:
            yield itself
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, entry))
            else:
                yield entry


def _read_file(path: str, bound: _Bound) -> bytes:
    # Not following a link closes the gap between looking and opening; not blocking, the same for a named pipe.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        bound.add(os.fstat(file.fileno()).st_size)
        return file.read()


# -- zip --------------------------------------------------------------------------------------------------------------


def _read_zip(path: Path) -> Contents:
    files: dict[str, bytes] = {}
    problems: list[tuple[str, str]] = []
    bound = _Bound(path)
    try:
        with zipfile.ZipFile(path) as archive:
            problems += _hidden_parts(path, archive)
            for entry in archive.infolist():
                bound.file()
                if problem := _odd_entry(entry, files):
                    problems.append((entry.filename, problem))
                elif not entry.is_dir():
                    files[entry.filename] = _read_entry(archive, entry, bound)
            settled = {name for name, _ in problems}  # named already, or holding a file
            settled |= _folders_of(entry.filename for entry in archive.infolist() if not entry.is_dir())
            problems += [
                (entry.filename, EMPTY_FOLDER)
                for entry in archive.infolist()
                if entry.is_dir() and entry.filename not in settled
            ]
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise SealError(f"{path}: a damaged zip: {error}") from error
    return Contents(files, tuple(problems))


def _folders_of(names: Iterable[str]) -> set[str]:
    """Every folder on the way to a file, with its slash at the end."""
    found: set[str] = set()
    for name in names:
        end = name.rfind("/")
        while end > 0 and name[: end + 1] not in found:
            found.add(name[: end + 1])
            end = name.rfind("/", 0, end)
    return found


def _odd_entry(entry: zipfile.ZipInfo, files: dict[str, bytes]) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that not every program knows"
    if kind == stat.S_IFLNK:
        return "is a link, not a file"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is neither a file nor a folder"
    if entry.filename in files:
        return "is in the zip twice"
    if entry.orig_filename != entry.filename:  # zipfile cuts a name at a zero byte
        return "has a name that is read differently elsewhere"
    if _UNICODE_PATH in _extra_fields(entry.extra):
        return "has a second name, which some programs take instead"
    if entry.is_dir() and (problem := bad_path(entry.filename[:-1])):
        return f"is a folder whose name {problem}"
    return ""


def _extra_fields(data: bytes) -> set[int]:
    """Ids of the fields in the extra part of a zip header."""
    found = set()
    while len(data) >= 4:
        found.add(int.from_bytes(data[:2], "little"))
        data = data[4 + int.from_bytes(data[2:4], "little") :]
    return found


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, bound: _Bound) -> bytes:
    """One file, unpacked no further than the bound; its declared size is not believed."""
    chunks = []
    with archive.open(entry) as file:
        while chunk := file.read(_CHUNK):
            bound.add(len(chunk))
            chunks.append(chunk)
    return b"".join(chunks)


def _hidden_parts(path: Path, archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    """Stretches of the zip that its directory does not mention, and where another program may find other files."""
    problems = []
    entries = sorted(archive.infolist(), key=lambda one: one.header_offset)
    starts = [one.header_offset for one in entries] + [archive.start_dir]
    with path.open("rb") as file:
        if starts[0] != 0:
            problems.append((path.name, "has bytes before the first file"))
        for entry, following in zip(entries, starts[1:], strict=True):
            file.seek(entry.header_offset)
            header = file.read(_LOCAL_HEADER)
            name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
            if _UNICODE_PATH in _extra_fields(file.read(name + extra)[name:]):
                problems.append((entry.filename, "has a second name, which some programs take instead"))
            gap = following - (entry.header_offset + _LOCAL_HEADER + name + extra + entry.compress_size)
            if gap not in (_DESCRIPTORS if entry.flag_bits & _SIZES_FOLLOW else (0,)):
                problems.append(
                    (
                        entry.filename,
                        "overlaps its neighbour, or bytes follow it that the zip's directory does not mention",
                    )
                )
        file.seek(-min(_END_RECORD, path.stat().st_size), os.SEEK_END)
        if file.read(4) != b"PK\x05\x06":
            problems.append((path.name, "has bytes behind its directory"))
    return problems


def _below_single_folder(contents: Contents) -> Contents:
    """A zip of the pack's folder rather than of its content: the folder's name is no part of the pack."""
    tops = {name.split("/", 1)[0] for name in contents.files}
    if len(tops) != 1 or any("/" not in name for name in contents.files):
        return contents
    top = tops.pop()
    if bad_path(top):
        return contents
    return Contents({name[len(top) + 1 :]: data for name, data in contents.files.items()}, contents.problems)
