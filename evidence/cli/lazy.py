"""Groups whose commands are imported only when they are called, so that a command pays for its own start alone."""

import importlib
from collections.abc import Mapping
from typing import Any

import click

from evidence.settings import name_variables
from evidence.values import value


@value()
class Later:
    """Where a command is (module and the name in it), and its line in the group's help."""

    module: str
    name: str
    help: str


class LazyGroup(click.Group):
    """A group of commands that are already there, and of `later` ones by name; `variables` begins their environment variables."""

    def __init__(self, *args: Any, later: Mapping[str, Later], variables: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.later = later
        self.variables = variables

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.later})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.later:
            return super().get_command(ctx, cmd_name)
        place = self.later[cmd_name]
        command: click.Command = getattr(importlib.import_module(place.module), place.name)
        name_variables(command, f"{self.variables}_{cmd_name.upper()}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shown = {name: self._line(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(list(shown.items()))

    def _line(self, ctx: click.Context, name: str) -> str:
        if name in self.later:
            return self.later[name].help
        command = super().get_command(ctx, name)
        return command.get_short_help_str(limit=100) if command else ""
