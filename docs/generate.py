"""Writes the generated pages: every command's help (docs/commands.md), a page for each finding rule (docs/findings/), the network plugins.

`make docs` runs it; a test compares what it would write with what is committed.
"""

import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent
WIDTH = 100  # columns of the help texts, whatever the terminal
sys.path.insert(0, str(ROOT.parent))

from evidence.cli.main import COMMANDS, cli  # noqa: E402
from evidence.cni.capabilities import plugin_specs  # noqa: E402
from evidence.cni.docs import page as cni_page  # noqa: E402
from evidence.findings.docs import index_page, rule_page  # noqa: E402
from evidence.findings.registry import RULES  # noqa: E402


def command_sections(path: str, command: click.Command, parent: click.Context | None) -> list[str]:
    """Help text of a command and of everything below it, as Markdown."""
    context = click.Context(command, info_name=path.rsplit(maxsplit=1)[-1], parent=parent, terminal_width=WIDTH)
    sections = [f"## {path}\n\n```text\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                sections += command_sections(f"{path} {name}", below, context)
    return sections


def pages() -> dict[Path, str]:
    """Path below docs/ -> text, for every generated page."""
    parent = click.Context(cli, info_name="evidence", **cli.context_settings, terminal_width=WIDTH)
    sections = [section for name in sorted(COMMANDS) for section in _command(name, parent)]
    commands = "# Commands\n\nGenerated from `--help` by `make docs`.\n\n" + "\n".join(sections)
    findings = {Path("findings") / f"{rule.id}.md": rule_page(rule) for rule in RULES.values()}
    return {
        Path("commands.md"): commands,
        Path("cni.md"): cni_page(plugin_specs()),
        Path("findings/README.md"): index_page(tuple(RULES.values())),
        **findings,
    }


def _command(name: str, parent: click.Context) -> list[str]:
    command = cli.get_command(parent, name)
    return command_sections(f"evidence {name}", command, parent) if command else []


if __name__ == "__main__":
    for path, text in pages().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
