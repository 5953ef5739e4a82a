"""The one place that finds package data, in a checkout or in an installed wheel.

`controls/`, `report_templates/` and `migrations/` stand at the top of the repository; the wheel carries them inside the
package under `evidence/_data/` (see `[tool.hatch.build]` in pyproject.toml). Everything else asks here.
"""

from pathlib import Path

from evidence.errors import EvidenceError

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Folder of package data called `name` (`controls`, `report_templates`, `migrations`).

    Raises EvidenceError when the installation lacks it.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise EvidenceError(f"package data {name!r} is missing from this installation of evidence; install it again")


def package_file(*parts: str) -> Path:
    """A data file inside the package itself, such as `package_file("cni", "capabilities.yaml")`."""
    path = _PACKAGE.joinpath(*parts)
    if not path.exists():
        raise EvidenceError(
            f"package file {'/'.join(parts)} is missing from this installation of evidence; install it again"
        )
    return path
