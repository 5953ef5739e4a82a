"""Calico's selector language, read from text.

1. Tests: `k == 'v'`, `k != 'v'`, `k in {'a', 'b'}`, `k not in {…}`, `k contains 'v'`, `k starts with 'v'`, `k ends with 'v'`, `has(k)`, `all()`,
   `global()`. `!`, `&&`, `||` and parentheses combine them; `!` binds closest, `||` least. The empty selector is `all()`.
2. Strings stand in either kind of quote and know no escapes. `notin`, `startswith` and `endswith` may be written as one word; `has(`, `all(` and
   `global(` take no space before the parenthesis. A label is at most 512 letters, digits, `_`, `.`, `/`, `-`.

Source: libcalico-go/lib/selector/tokenizer and libcalico-go/lib/selector/parser of projectcalico/calico; "Selectors" in the reference of
NetworkPolicy at docs.tigera.io. Calico takes parentheses as deep as they come, within the API's 1,024 characters; here MAX_DEPTH is the limit.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from evidence.cluster.calico_selectors import Both, Either, Everything, Expression, Global, LabelTest, Not, Test

MAX_DEPTH = 100
MAX_LABEL_LENGTH = 512


class SelectorError(ValueError):
    """The text is no selector; the message says why."""


@lru_cache(maxsize=1 << 12)
def parse(text: str) -> Expression:
    """The expression of a selector's text. Raises SelectorError."""
    tokens = _tokens(text)
    if tokens[0].kind == "end":
        return Everything()
    expression, place = _either(tokens, 0, 0)
    if tokens[place].kind != "end":
        raise SelectorError(f"{tokens[place]} is not expected after a complete expression")
    return expression


class _Token(NamedTuple):
    kind: str  # a sign, "label", "text", "has", "all", "global", one of _OPERATORS, "end"
    value: str = ""

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return f"{self.kind} {self.value!r}" if self.value or self.kind == "text" else repr(self.kind)


_SPACE = re.compile(r"[ \t]*")
_SIGN = re.compile(r"\(|\)|\{|\}|,|==|!=|!|&&|\|\|")
_LABEL = re.compile(r"[A-Za-z0-9_./-]+")
_CALL = re.compile(r"(has|all|global)\(")
_CALLED = {
    "has": re.compile(r"[ \t]*([A-Za-z0-9_./-]+)[ \t]*\)"),
    "all": re.compile(r"[ \t]*()\)"),
    "global": re.compile(r"[ \t]*()\)"),
}
_OPERATORS: Mapping[str, re.Pattern[str]] = {
    test.value: re.compile(test.value.replace(" ", "[ \t]*") + r"(?![A-Za-z0-9_./-])")
    for test in (Test.CONTAINS, Test.STARTS_WITH, Test.ENDS_WITH, Test.NOT_IN, Test.IN)
}


def _tokens(text: str) -> Sequence[_Token]:
    found: list[_Token] = []
    place = _after_space(text, 0)
    while place < len(text):
        token, end = _token(text, place, after_label=bool(found) and found[-1].kind == "label")
        found.append(token)
        place = _after_space(text, end)
    return (*found, _Token("end"))


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _token(text: str, place: int, *, after_label: bool) -> tuple[_Token, int]:
    if text[place] in "'\"":
        end = text.find(text[place], place + 1)
        if end < 0:
            raise SelectorError(f"the string that starts with {text[place : place + 20]!r} does not end")
        return _Token("text", text[place + 1 : end]), end + 1
    sign = _SIGN.match(text, place)
    if sign:
        return _Token(sign.group()), sign.end()
    if after_label:
        for name, pattern in _OPERATORS.items():
            operator = pattern.match(text, place)
            if operator:
                return _Token(name), operator.end()
        raise SelectorError(f"an operator is expected after a label, not {text[place : place + 20]!r}")
    call = _CALL.match(text, place)
    if call:
        name = call.group(1)
        rest = _CALLED[name].match(text, call.end())
        if not rest:
            raise SelectorError(f"{name}( needs {'one label and ' if name == 'has' else ''}a closing parenthesis")
        return _Token(name, _checked(rest.group(1))), rest.end()
    label = _LABEL.match(text, place)
    if not label:
        raise SelectorError(f"{text[place : place + 20]!r} is no part of a selector")
    return _Token("label", _checked(label.group())), label.end()


def _checked(label: str) -> str:
    if len(label) > MAX_LABEL_LENGTH:
        raise SelectorError(f"a label is at most {MAX_LABEL_LENGTH} characters long, not {len(label)}")
    return label


def _either(tokens: Sequence[_Token], place: int, depth: int) -> tuple[Expression, int]:
    return _joined(tokens, place, depth, "||", _both, Either)


def _both(tokens: Sequence[_Token], place: int, depth: int) -> tuple[Expression, int]:
    return _joined(tokens, place, depth, "&&", _operation, Both)


def _joined(
    tokens: Sequence[_Token],
    place: int,
    depth: int,
    sign: str,
    part: Callable[[Sequence[_Token], int, int], tuple[Expression, int]],
    make: type[Both | Either],
) -> tuple[Expression, int]:
    found, place = part(tokens, place, depth)
    operands = [found]
    while tokens[place].kind == sign:
        found, place = part(tokens, place + 1, depth)
        operands.append(found)
    return (make(tuple(operands)) if len(operands) > 1 else found), place


def _operation(tokens: Sequence[_Token], place: int, depth: int) -> tuple[Expression, int]:
    negated = False
    while tokens[place].kind == "!":
        negated, place = not negated, place + 1
    token = tokens[place]
    expression: Expression
    match token.kind:
        case "has":
            expression, place = LabelTest(token.value, Test.HAS), place + 1
        case "all":
            expression, place = Everything(), place + 1
        case "global":
            expression, place = Global(), place + 1
        case "label":
            expression, place = _test(tokens, place)
        case "(":
            if depth == MAX_DEPTH:
                raise SelectorError(f"parentheses are more than {MAX_DEPTH} deep")
            expression, place = _either(tokens, place + 1, depth + 1)
            if tokens[place].kind != ")":
                raise SelectorError(f"a closing parenthesis is expected, not {tokens[place]}")
            place += 1
        case _:
            raise SelectorError(f"a label, has(, all(, global(, ! or ( is expected, not {token}")
    return (Not(expression) if negated else expression), place


def _test(tokens: Sequence[_Token], place: int) -> tuple[Expression, int]:
    key, operator = tokens[place].value, tokens[place + 1]
    if operator.kind in (Test.IN, Test.NOT_IN):
        values, place = _set(tokens, place + 2)
        return LabelTest(key, Test(operator.kind), tuple(sorted(set(values)))), place
    test = {"==": Test.IN, "!=": Test.NOT_IN, **{t.value: t for t in (Test.CONTAINS, Test.STARTS_WITH, Test.ENDS_WITH)}}
    if operator.kind not in test:
        raise SelectorError(f"an operator is expected after label {key!r}, not {operator}")
    value = tokens[place + 2]
    if value.kind != "text":
        raise SelectorError(f"a string in quotes is expected after {key} {operator.kind}, not {value}")
    return LabelTest(key, test[operator.kind], (value.value,)), place + 3


def _set(tokens: Sequence[_Token], place: int) -> tuple[list[str], int]:
    """The strings of `{'a', 'b'}`; a comma may follow the last one."""
    if tokens[place].kind != "{":
        raise SelectorError(f"a set such as {{'a', 'b'}} is expected, not {tokens[place]}")
    values, place = [], place + 1
    while tokens[place].kind == "text":
        values.append(tokens[place].value)
        place += 1
        if tokens[place].kind != ",":
            break
        place += 1
    if tokens[place].kind != "}":
        raise SelectorError(f"a closing }} is expected, not {tokens[place]}")
    return values, place + 1
