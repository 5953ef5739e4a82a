"""Whatever is given to `--from`, the answer is a sentence and an exit code, never a traceback (an unforeseen error fails the test, see run.py)."""

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evidence.sample import sample_dumps
from tests.cli.run import evidence

COMMANDS = (("assess",), ("collect", "--cluster", "shop", "--db"), ("cni",), ("reach", "matrix", "--format", "json"))
ITEMS: list[dict[str, Any]] = json.loads(sample_dumps()[2].path.read_bytes())["items"]
ONE_OF_EACH = list({item["kind"]: item for item in ITEMS}.values())
POLICIES = [item for item in ITEMS if item["kind"] == "NetworkPolicy"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        [
            "10.0.0.0/8",
            "10.0.0.0/99",
            "::1",
            "TCP",
            "In",
            "Exists",
            "Ingress",
            "65536",
            "-1",
            "true",
            "\x00",
            "2026-01-01",
            "*",
            "~",
        ]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
relaxed = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a body."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, below in value.items():
            yield from places(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from places(below, (*path, index))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good object in which one to three things were replaced, removed, added or renamed."""
    body: dict[str, Any] = copy.deepcopy(draw(st.sampled_from([*ONE_OF_EACH, *POLICIES])))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(body)) or [("kind",)]))
        parent: Any = body
        for step in path[:-1]:
            parent = parent[step]
        match draw(st.sampled_from(("replace", "remove", "add", "double"))):
            case "remove":
                parent.pop(path[-1])
            case "add" if isinstance(parent, dict):
                parent[draw(st.text(max_size=8))] = draw(values)
            case "double" if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[path[-1]]))
            case _:
                parent[path[-1]] = draw(values)
        if not isinstance(body, dict) or not body:
            break
    return body


def answered(content: bytes, suffix: str) -> None:
    """Every command answers: 0 when the content is fine, else 3 with at least one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"given{suffix}"
        path.write_bytes(content)
        for command in COMMANDS:
            store = (f"{folder}/evidence.db",) if command[-1] == "--db" else ()
            ran = evidence(*command, *store, "--from", path)
            assert ran.code in (0, 3), ran.said
            assert (ran.code == 3) == ran.err.startswith("evidence: "), ran.said
            assert "Traceback" not in ran.said


@pytest.mark.slow
@relaxed
@given(st.binary(max_size=200), st.sampled_from([".yaml", ".json", ""]))
@example(b"", ".json")
@example(b"\xff\xfe{\x00}\x00", ".yaml")
@example(b"\xef\xbb\xbfkind: Pod\n", ".yaml")
@example(b"!!python/object/apply:os.system [true]\n", ".yaml")
@example(b"[" * 3000, ".json")
@example(b"[" * 3000, ".yaml")
@example(b"{" * 3000, ".yaml")
@example(b"- " * 3000, ".yaml")
@example(b"? " * 2000, ".yaml")
@example(b'{"a":1e999}', ".json")
@example(b"a: 1e999999999\nkind: Pod\n", ".yaml")
@example(b"kind: Pod\napiVersion: v1\nmetadata: {name: 0x1F}\n", ".yaml")
@example(b"kind: Pod\napiVersion: v1\nmetadata: {name: 2026-01-01}\n", ".yaml")
@example(b"kind: Pod\napiVersion: v1\nmetadata: &m {name: x, labels: *m}\n", ".yaml")
@example(b"--- \n---\n...\n---\n", ".yaml")
@example(b"%YAML 9.9\n---\nkind: Pod\n", ".yaml")
def test_random_bytes(content: bytes, suffix: str) -> None:
    answered(content, suffix)


@pytest.mark.slow
@relaxed
@given(values)
def test_any_json_value(value: Any) -> None:
    answered(json.dumps(value).encode(), ".json")


@pytest.mark.slow
@settings(relaxed, max_examples=300)
@given(st.lists(mutated(), min_size=1, max_size=2))
def test_mutated_objects_as_json(bodies: list[dict[str, Any]]) -> None:
    answered(json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies}).encode(), ".json")


@pytest.mark.slow
@relaxed
@given(mutated())
def test_mutated_objects_as_yaml(body: dict[str, Any]) -> None:
    answered(yaml.safe_dump(body, allow_unicode=True).encode(errors="surrogatepass"), ".yaml")


@pytest.mark.slow
@relaxed
@given(st.sampled_from(POLICIES), st.integers(0, 4000), st.integers(0, 255), st.booleans())
def test_a_cut_or_a_flipped_byte(body: dict[str, Any], where: int, byte: int, cut: bool) -> None:
    text = yaml.safe_dump(body).encode()
    where %= len(text)
    answered(text[:where] if cut else text[:where] + bytes([byte]) + text[where + 1 :], ".yaml")


@pytest.mark.slow
@relaxed
@given(st.lists(mutated(), min_size=2, max_size=4))
def test_with_keep_going_wrong_objects_are_named_and_the_rest_is_read(bodies: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies}))
        ran = evidence("collect", "--cluster", "shop", "--db", f"{folder}/evidence.db", "--from", path, "--keep-going")
        assert ran.code in (0, 3), ran.said
        assert (ran.code == 3) == bool(ran.err), ran.said
        assert evidence("assess", "--from", path, "--keep-going").code in (0, 3)
