"""Packs that are there: the archive's page over them, and the check of one."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evidence.seal.verify import Verification


def build_archive(archive: Path) -> Path:
    """The index page over all packs in a folder; gives its path."""
    from evidence.archive.site import write_site

    return write_site(archive)


def verify_pack(
    path: Path, trusted: Sequence[str], key_folder: Path, at: datetime, timestamps_trusted: Sequence[str] = ()
) -> "Verification":
    """Every check of a pack's folder or zip, as of `at`. `trusted`: certificate files and `sha256:` fingerprints, of signers and, apart from
    them, of timestamp authorities."""
    from evidence.seal.read import read_pack
    from evidence.seal.trust import read_trust
    from evidence.seal.verify import verify

    contents = read_pack(path)
    authorities = read_trust(timestamps_trusted, option="--trust-timestamps")
    return verify(contents.files, read_trust(trusted, key_folder), at, contents.problems, authorities)
