"""Settings from `evidence.toml` in the working folder, as click's default map.

A flag wins over an EVIDENCE_<COMMAND>_<OPTION> variable (EVIDENCE_DATABASE_URL for the store), that over the file, that over the
default. The file has one table a command, keys as the long options with dashes or underscores:

    [report]
    framework = "pci"
    archive = "evidence-archive"
"""

import tomllib
from pathlib import Path
from typing import Any

from evidence.errors import UsageError

SETTINGS_FILE = Path("evidence.toml")


def file_defaults(path: Path = SETTINGS_FILE) -> dict[str, Any]:
    """Default values by command and option. Empty without a file; UsageError naming the file and line when it is not TOML."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return _underscored(content)


def _underscored(table: dict[str, Any]) -> dict[str, Any]:
    """click names parameters with underscores; people write options with dashes."""
    return {
        key.replace("-", "_"): _underscored(value) if isinstance(value, dict) else value for key, value in table.items()
    }
