"""What evaluates: the version of this program, and a digest over its own files.

The version alone does not tell two checkouts apart. The digest covers every module and data file of the package, also those that cannot change a
result: which ones can is a list that somebody would forget to keep, and a result by other code under the same digest is what must not be.
"""

import hashlib
from functools import cache
from pathlib import Path

import evidence

_SUFFIXES = frozenset({".py", ".json", ".yaml"})


@cache
def software_digest() -> str:
    """Hex SHA-256 over path and content of the package's own files; the same for a checkout and a wheel made of it."""
    package = Path(evidence.__file__).resolve().parent
    found = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package)
        if path.suffix in _SUFFIXES and name.parts[0] != "_data":  # the wheel's copy of controls/ and the like
            found.update(f"{name.as_posix()}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
