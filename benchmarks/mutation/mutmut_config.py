"""What mutmut 2.5.1 needs to know here; it imports a module of this name when it starts.

1. Its parser does not know `match`. Before parsing, `match` and `case` lines become `if` lines that keep the pattern in a comment; afterwards
   they are turned back. So guards and bodies are changed, patterns are not.
2. Options of dataclasses (frozen, slots, eq) and annotations of variables are no behaviour: they are left alone.
"""

import re
from typing import Any

import mutmut
from parso.python.tree import Module

_parse, _get_code = mutmut.parse, Module.get_code


def without_match(source: str) -> str:
    """The source with `if` lines in the place of `match` and `case` lines."""
    source = re.sub(r"^( *)match (.+):$", r"\1if \2:  #match", source, flags=re.MULTILINE)
    source = re.sub(r"^( *)case (.+) if (.+):$", r"\1if \3:  #case \2", source, flags=re.MULTILINE)
    return re.sub(r"^( *)case (.+):$", r"\1if _:  #case \2", source, flags=re.MULTILINE)


def with_match(source: str) -> str:
    """The way back."""
    source = re.sub(r"^( *)if (.+):  #match$", r"\1match \2:", source, flags=re.MULTILINE)
    source = re.sub(r"^( *)if _:  #case (.+)$", r"\1case \2:", source, flags=re.MULTILINE)
    return re.sub(r"^( *)if (.+):  #case (.+)$", r"\1case \3 if \2:", source, flags=re.MULTILINE)


def parse(source: str, **options: Any) -> Any:
    changed = without_match(source)
    if with_match(changed) != source:
        raise ValueError("a match statement here has a form that cannot be turned into `if` lines and back")
    return _parse(changed, **options)


mutmut.parse = parse
Module.get_code = lambda module, *args, **options: with_match(_get_code(module, *args, **options))


def in_annotation(node: Any) -> bool:
    """True within the annotation of a variable."""
    while node.parent is not None:
        if node.parent.type == "annassign":
            return node.parent.children[1] is node
        node = node.parent
    return False


def leave_annotations() -> None:
    for kind in ("operator", "name"):
        change = mutmut.mutations_by_type[kind]["value"]
        if change.__name__ != "unless_annotation":

            def unless_annotation(node: Any, change: Any = change, **more: Any) -> Any:
                return None if in_annotation(node) else change(node=node, **more)

            mutmut.mutations_by_type[kind]["value"] = unless_annotation


def init() -> None:
    """Called by mutmut when it has been read."""
    leave_annotations()


def pre_mutation(context: Any) -> None:
    """Called by mutmut before each change, in another process."""
    leave_annotations()
    context.config.baseline_time_elapsed = 100.0  # it gives up after ten times this: for a busy machine
    context.skip = context.current_source_line.startswith("@dataclass")
