"""Packs as folders of the archive: each appears whole or not at all, and none is ever overwritten."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from evidence.errors import ReportError


def write_pack(archive: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Write the files into a new folder below `archive`. A name that is taken gets a revision (`_r2`), so no pack is ever lost."""
    partial = archive / f".{name}.partial-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for path, content in files.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        folder, revision = archive / name, 1
        while folder.exists():
            revision += 1
            folder = archive / f"{name}_r{revision}"
        partial.rename(folder)
    except OSError as error:
        raise ReportError(
            f"{archive}: the pack cannot be written: {error.strerror}; choose another --archive"
        ) from error
    finally:  # also when the process is told to stop
        shutil.rmtree(partial, ignore_errors=True)
    return folder
