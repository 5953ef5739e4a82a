"""Settings from `evidence.toml` in the working folder and from the environment, by the names that people know: the long options.

A flag wins over an EVIDENCE_<COMMAND>_<OPTION> variable (EVIDENCE_DATABASE_URL for the store), that over the file, that over the
default. The file has one table a command (`[reach.matrix]` for one below another), keys as the long options with dashes or
underscores; an option that may be repeated takes a list, or one value. A key that is no option of its command is an error.

    [report]
    framework = ["pci", "hipaa"]
    archive = "evidence-archive"
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import click

from evidence.errors import UsageError

SETTINGS_FILE = Path("evidence.toml")


def file_defaults(path: Path = SETTINGS_FILE) -> dict[str, Any]:
    """The file's content, one table a command. Empty without a file; UsageError naming the file and line when it is not TOML."""
    if not path.exists():
        return {}
    import tomllib

    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return content


def name_variables(command: click.Command, prefix: str) -> None:
    """Give every option of a command, and of those below it, its EVIDENCE_<COMMAND>_<OPTION> variable, unless it has one."""
    for option in _options(command):
        if option.envvar is None and option.opts:
            option.envvar = f"{prefix}_{_long_name(option).upper()}"
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            name_variables(below, f"{prefix}_{name.replace('-', '_').upper()}")


def bound(command: click.Command, table: Any, where: str) -> dict[str, Any]:
    """A table of the file as click's default map of one command. Raises UsageError for what is no option or no table."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{SETTINGS_FILE}: {where} must be a table: write [{where}] and its settings below")
    context = click.Context(command)
    group = command if isinstance(command, click.Group) else click.Group()
    below = group.list_commands(context)
    options = {_long_name(option): option for option in _options(command)}
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = group.get_command(context, key)
        if inner is not None:
            found[key] = bound(inner, value, f"{where}.{key}")
            continue
        option = options.get(key.replace("-", "_"))
        if option is None or option.name is None:
            names = ", ".join(sorted((*options, *below))) or "none"
            raise UsageError(f"{SETTINGS_FILE}: [{where}] has no setting {key!r}; there are {names}")
        given = value if option.multiple and isinstance(value, list) else [value]
        said = [_of_type(option, one, f"{SETTINGS_FILE}: [{where}] {key}") for one in given]
        found[option.name] = said if option.multiple else said[0]
    return found


def _of_type(option: click.Option, value: Any, what: str) -> Any:
    """A value of the file in the type that the option takes; a TOML date or time is its text. Raises UsageError for another type."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{what} must be true or false, not {value!r}")
        return value
    if isinstance(option.type, click.types.IntParamType | click.types.FloatParamType):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UsageError(f"{what} must be a number, not {value!r}")
        return value
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if not isinstance(value, str):
        raise UsageError(f'{what} must be text in quotes, such as "{value}", not {value!r}')
    return value


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _long_name(option: click.Option) -> str:
    return max(option.opts, key=len).lstrip("-").replace("-", "_")
