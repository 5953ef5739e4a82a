"""Reading fields of raw objects: the right type, or an error that names the path to the field.

A reader deep inside an object raises `FieldError` with its own key; every level on the way out puts its key in front, so that paths cost
nothing unless something is wrong. An explicit null counts as absent, as for the API server.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from evidence.cluster.cidr import parse_address, parse_network
from evidence.cluster.model import IPAddress, IPNetwork, Labels

T = TypeVar("T")
Raw = Mapping[str, Any]

_NOTHING: Raw = {}
_NO_LIST: list[Any] = []


class FieldError(Exception):
    """A field holds what it must not; `path` is relative to where the error was raised until callers put theirs in front."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(path, message)
        self.path = path
        self.message = message

    def under(self, parent: str) -> "FieldError":
        """The same error, one level further out."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        self.path = f"{parent}{joint}{self.path}"
        return self

    def __str__(self) -> str:
        return f"{self.path} {self.message}" if self.path else self.message


def shown(value: Any) -> str:
    """A value as a person would name it in a message, at most some 60 characters long."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case dict():
            return "an object"
        case list():
            return "a list"
        case str() if len(value) > 60:
            return f"{value[:57]!r}…"
        case _:
            return repr(value)


def mapping(parent: Raw, key: str) -> Raw:
    """An object, empty when absent."""
    value = parent.get(key)
    if isinstance(value, dict):
        return value
    if value is None:
        return _NOTHING
    raise FieldError(key, f"must be an object, not {shown(value)}")


def sequence(parent: Raw, key: str) -> list[Any]:
    """A list, empty when absent."""
    value = parent.get(key)
    if isinstance(value, list):
        return value
    if value is None:
        return _NO_LIST
    raise FieldError(key, f"must be a list, not {shown(value)}")


def text(parent: Raw, key: str, default: str = "") -> str:
    """A string."""
    value = parent.get(key)
    if isinstance(value, str):
        return value
    if value is None:
        return default
    raise FieldError(key, f"must be a string, not {shown(value)}{_quote_it(value)}")


def integer(parent: Raw, key: str, low: int = 0, high: int = 2**31 - 1) -> int | None:
    """A whole number in a range, None when absent."""
    value = parent.get(key)
    if value is None:
        return None
    if type(value) is not int:
        raise FieldError(key, f"must be a whole number, not {shown(value)}")
    if not low <= value <= high:
        raise FieldError(key, f"must be {low} to {high}, not {value}")
    return value


def boolean(parent: Raw, key: str) -> bool:
    """True or False, False when absent."""
    value = parent.get(key)
    if value is None:
        return False
    if value is not True and value is not False:
        raise FieldError(key, f"must be true or false, not {shown(value)}")
    return value


def choice(parent: Raw, key: str, allowed: Collection[str], default: str = "") -> str:
    """One of the given words; suggests the right spelling for a wrong case."""
    value = text(parent, key, default)
    if value in allowed:
        return value
    close = [word for word in allowed if word.lower() == value.lower()]
    hint = f"; did you mean {close[0]}?" if close else ""
    raise FieldError(key, f"must be one of {', '.join(allowed)}, not {shown(value)}{hint}")


def labels(parent: Raw, key: str) -> Labels:
    """A map from string to string."""
    value = mapping(parent, key)
    nulls = False
    for name, content in value.items():
        if content is None:
            nulls = True
        elif type(content) is not str:
            raise FieldError(f"{key}.{name}", f"must be a string, not {shown(content)}{_quote_it(content)}")
    return {k: v or "" for k, v in value.items()} if nulls else value  # the API server reads null as the empty string


def strings(parent: Raw, key: str) -> tuple[str, ...]:
    """A list of strings."""
    value = sequence(parent, key)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise FieldError(f"{key}[{index}]", f"must be a string, not {shown(item)}{_quote_it(item)}")
    return tuple(value)


def each(parent: Raw, key: str, parse: Callable[[Raw], T]) -> tuple[T, ...]:
    """Every object of a list, parsed."""
    items = sequence(parent, key)
    found: list[T] = []
    try:
        for item in items:
            if not isinstance(item, dict):
                raise FieldError("", f"must be an object, not {shown(item)}")
            found.append(parse(item))
    except FieldError as error:
        raise error.under(f"{key}[{len(found)}]") from None
    return tuple(found)


def inside(parent: Raw, key: str, parse: Callable[[Raw], T]) -> T:
    """An object (empty when absent), parsed."""
    value = mapping(parent, key)
    try:
        return parse(value)
    except FieldError as error:
        raise error.under(key) from None


def network(key: str, value: Any) -> IPNetwork:
    """A CIDR, host bits masked off."""
    if not isinstance(value, str):
        raise FieldError(key, f"must be a string such as 10.0.0.0/8, not {shown(value)}")
    try:
        return parse_network(value)
    except ValueError as error:
        raise FieldError(key, f"{shown(value)} is not a network: {error}") from None


def networks(parent: Raw, key: str) -> tuple[IPNetwork, ...]:
    """A list of CIDRs."""
    return tuple(network(f"{key}[{index}]", value) for index, value in enumerate(sequence(parent, key)))


def address(key: str, value: Any) -> IPAddress:
    """One IP address."""
    if not isinstance(value, str):
        raise FieldError(key, f"must be an IP address, not {shown(value)}")
    try:
        return parse_address(value)
    except ValueError as error:
        raise FieldError(key, str(error)) from None


def known_fields(parent: Raw, *names: str) -> None:
    """No field but these: one that is passed over in silence could open what the author meant to close."""
    for key in parent:
        if key not in names:
            raise FieldError(key, f"is not a field here; known are {', '.join(names)}")


def _quote_it(value: Any) -> str:
    """YAML reads yes, on, 1.10 as something else than text; quotes are the remedy."""
    return "; put it in quotes" if isinstance(value, bool | int | float) else ""
