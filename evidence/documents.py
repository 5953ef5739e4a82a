"""YAML (or JSON) that people write by hand, read strictly and with the place of every value, and checked against a JSON Schema.

Rules, for intent files and control catalogues alike:
1. One document of UTF-8 text, at most MAX_BYTES long; a key given twice in a mapping is an error, as are tags and non-text keys.
2. Only what JSON can say: `true` and `false` are booleans, decimal numbers are numbers, `null`, `~` and nothing are null, every other
   plain word is text. A date stays the text it is; `no`, `on` and `0x10` are text, not what YAML 1.1 makes of them.
3. Aliases may be used, but the document may not grow beyond MAX_VALUES values or MAX_DEPTH levels through them.
4. Every error names file:line and the field, and says what to write instead where that can be said. All are told at once.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from evidence.errors import InputError, ManyInputsError

MAX_BYTES = 4_000_000
MAX_VALUES = 200_000
MAX_DEPTH = 40
SHOWN_WIDTH = 60

Path = tuple[str | int, ...]  # ("zones", 0, "name")
T = TypeVar("T")

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+\Z")
_QUOTED = ("'", '"', "|", ">")
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Document:
    """`value` is plain JSON data; `lines` has the line of every value, `key_lines` that of every mapping entry's key."""

    source: str
    value: Any
    lines: Mapping[Path, int]
    key_lines: Mapping[Path, int]

    def where(self, path: Path) -> str:
        """ "file:line: zones[0].name"; the nearest place above for a path that is not there."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.key_lines.get(path) or self.lines.get(known, 1)
        place = field_name(path)
        return f"{self.source}:{line}: {place}" if place else f"{self.source}:{line}"

    def error(self, path: Path, message: str) -> InputError:
        return InputError(f"{self.where(path)}: {message}")


def field_name(path: Path) -> str:
    """A path as people write it: zones[0].members[1].namespaces."""
    name = ""
    for step in path:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return name


def shown(value: object) -> str:
    """A value in a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= SHOWN_WIDTH else f"{text[: SHOWN_WIDTH - 1]}…"


def raise_all(errors: Sequence[InputError]) -> None:
    """Nothing without errors; the error itself for one; ManyInputsError for several."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ManyInputsError(errors)


# -- reading ----------------------------------------------------------------------------------------------------------


def read_document(data: bytes, source: str) -> Document:
    """Raises InputError with file:line."""
    if len(data) > MAX_BYTES:
        raise InputError(f"{source}: is {len(data)} bytes long; at most {MAX_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}:{line}: is not UTF-8 text; save the file as UTF-8") from error
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(f"{source}:{line}: is not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{source}: is not valid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise InputError(f"{source}: is nested too deeply; at most {MAX_DEPTH} levels are read") from error
    finally:
        loader.dispose()
    if node is None:
        raise InputError(f"{source}: is empty")
    reader = _Reader(source)
    value = reader.read(node, ())
    return Document(source, value, reader.lines, reader.key_lines)


class _Reader:
    """Turns nodes into plain data and remembers where they stood."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: MutableMapping[Path, int] = {}
        self.key_lines: MutableMapping[Path, int] = {}

    def read(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        if len(path) > MAX_DEPTH:
            raise InputError(f"{self.source}:{line}: is nested too deeply; at most {MAX_DEPTH} levels are read")
        if len(self.lines) >= MAX_VALUES:
            raise InputError(f"{self.source}:{line}: holds more than {MAX_VALUES} values; aliases may have blown it up")
        if node.tag not in _PLAIN_TAGS:
            where = f"{self.source}:{line}: {field_name(path)}".rstrip(": ")
            raise InputError(f"{where}: YAML tags such as {shown(node.tag)} are not read; write the plain value")
        self.lines[path] = line
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101  (the composer makes these three)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError(f"{self.source}:{line}: {field_name(path)}: a key must be plain text")
            key = key_node.value
            at = (*path, key)
            if key in found:
                first = self.key_lines[at]
                raise InputError(
                    f"{self.source}:{line}: {field_name(at)}: is given twice, first on line {first}; keep one of them"
                )
            self.key_lines[at] = line
            found[key] = self.read(value_node, at)
        return found

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> str | int | float | bool | None:
        text: str = node.value
        if node.style in _QUOTED or node.tag == "tag:yaml.org,2002:str":
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.match(text):
            return int(text)
        return float(text) if _DECIMAL.match(text) else text


# -- checking ---------------------------------------------------------------------------------------------------------


def schema_errors(document: Document, schema: Mapping[str, Any]) -> list[InputError]:
    """What a JSON Schema (draft 2020-12) finds wrong, in the order of the file."""
    from jsonschema import Draft202012Validator

    found: list[tuple[Path, str]] = []
    for error in Draft202012Validator(dict(schema)).iter_errors(document.value):
        found += _explained(error)
    found.sort(key=lambda item: document.key_lines.get(item[0]) or document.lines.get(item[0], 0))
    return [document.error(path, message) for path, message in dict.fromkeys(found)]


def _explained(error: Any) -> list[tuple[Path, str]]:
    """One schema error in plain words, at the field that has to change."""
    path: Path = tuple(error.absolute_path)
    value, given = error.validator_value, error.instance
    match error.validator:
        case "required":
            missing = [name for name in value if name not in given]
            return [(path, f"{name!r} is missing{_hint(error.schema, name)}") for name in missing]
        case "additionalProperties":
            known = list(error.schema.get("properties", {}))
            return [((*path, name), _unknown(name, known)) for name in given if name not in known]
        case "enum":
            return [(path, f"{shown(given)} is not one of {', '.join(map(str, value))}{did_you_mean(given, value)}")]
        case "type":
            return [(path, f"must be {_type_name(value)}, not {shown(given)}{_hint(error.schema)}")]
        case "minItems" | "minLength" | "minProperties":
            return [(path, f"must not be empty{_hint(error.schema)}")]
        case "uniqueItems":
            return [(path, "names something twice; keep one of them")]
        case "anyOf":
            return _meant(error) or [(path, f"{shown(given)} does not fit{_hint(error.schema)}")]
        case "minimum" | "maximum":
            return [(path, f"{shown(given)} is out of range{_hint(error.schema)}")]
        case _:
            return [(path, f"{shown(given)} does not fit{_hint(error.schema)}")]


def _meant(error: Any) -> list[tuple[Path, str]]:
    """What is wrong inside the branch of anyOf whose type the value has; empty when there is none such."""
    branches: dict[object, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    for inside in branches.values():
        if not any(inner.validator == "type" and not inner.path for inner in inside):
            return [line for inner in inside for line in _explained(inner)]
    return []


def _hint(schema: Mapping[str, Any], name: str = "") -> str:
    """What the schema's own description says should stand there."""
    about = schema.get("properties", {}).get(name, {}) if name else schema
    text = about.get("description", "") if isinstance(about, Mapping) else ""
    return f": {text}" if text else ""


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"is not known here{did_you_mean(name, known)}; the fields are {', '.join(sorted(known))}"


def _type_name(value: str | list[str]) -> str:
    names = {"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number", "boolean": "true or false",
             "number": "a number", "null": "nothing"}  # fmt: skip
    given = [value] if isinstance(value, str) else value
    return " or ".join(names.get(one, one) for one in given)


def did_you_mean(given: object, known: Iterable[object]) -> str:
    """ "; did you mean 'cde'?", or "" when nothing is close."""
    close = difflib.get_close_matches(str(given), [str(one) for one in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
