"""Names from a cluster cannot act on a terminal: control characters are spelled out, in output as in errors."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from evidence.cli.terminal import line, lines, wrapped
from tests.cli.run import evidence
from tests.cni.clusters import agent, application, nodes

ESCAPE, OVERRIDE, BELL = "\x1b[31mred\x1b[0m", "a\u202eb", "\x07"
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def forged(text: str) -> list[str]:
    return [f"U+{ord(c):04X}" for c in text if c != "\n" and unicodedata.category(c) in UNSEEN]


def hostile_dump(text: str) -> Path:
    """Text that no API server lets through and any file can hold, wherever a dump has room for it."""
    items: list[dict[str, Any]] = [
        *nodes(),
        *application(),
        *agent("kube-system", "calico-node", f"docker.io/calico/node:v3.29.3{text}"),
        *agent("kube-system", "kube-router", "cloudnativelabs/kube-router:v2.4.1", arguments=(f"--run-firewall={text}",)),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": text, text: "x"}, "annotations": {"note": text}}},
        {"apiVersion": "example.com/v1", "kind": "Gizmo", "metadata": {"name": f"gizmo{text}", "namespace": "shop"}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"note": text}},
            "spec": {"podSelector": {"matchLabels": {"app": text}}, "ingress": [{"ports": [{"port": text[:15] or "x"}]}]},
        },
    ]  # fmt: skip
    items[4]["metadata"]["annotations"] = {"projectcalico.org/IPv4Address": text}
    path = Path("hostile.json")
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return path


@pytest.mark.parametrize("text", [ESCAPE, OVERRIDE, BELL, "line\nforged: 0 findings", "tab\there", "\u2028", "\x9b2J"])
@pytest.mark.parametrize("command", [("cni",), ("assess",), ("collect", "--cluster", "shop"), ("reach", "matrix")])
@pytest.mark.parametrize("more", [(), ("--keep-going",)])
def test_hostile_text_in_a_dump_is_inert(command: tuple[str, ...], more: tuple[str, ...], text: str) -> None:
    ran = evidence(*command, "--from", hostile_dump(text), *more)
    assert ran.code in (0, 3)
    assert forged(ran.said) == []
    assert not any(written.startswith("forged:") for written in ran.said.splitlines())


@pytest.mark.parametrize("kind", ["Pod", "Namespace", "NetworkPolicy", "Node", "DaemonSet"])
def test_a_hostile_name_is_inert(kind: str) -> None:
    version = {"NetworkPolicy": "networking.k8s.io/v1", "DaemonSet": "apps/v1"}.get(kind, "v1")
    body = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": f"x{ESCAPE}", "namespace": f"y{OVERRIDE}"},
        "spec": {"podSelector": {}},
    }
    Path("named.json").write_text(json.dumps(body))
    for command in (("cni",), ("assess",), ("collect", "--cluster", "shop"), ("reach", "matrix")):
        assert forged(evidence(*command, "--from", "named.json").said) == []


def test_hostile_file_names_and_arguments_are_inert(own_folder: Path) -> None:
    name = f"x{ESCAPE}.yaml"
    (own_folder / name).write_text("kind: [\n")
    for path in (name, f"missing{ESCAPE}"):
        ran = evidence("cni", "--from", path)
        assert ran.code == 3
        assert forged(ran.said) == []


def test_a_line_stays_one_line_and_lines_keep_their_breaks() -> None:
    assert line("a\nb\tc\x1b") == "a⟨U+000A⟩b⟨U+0009⟩c⟨U+001B⟩"
    assert lines("a\nb\x1b") == "a\nb⟨U+001B⟩"


def test_a_long_paragraph_goes_on_under_its_text_and_breaks_no_name() -> None:
    name = "production/" + "very-long-" * 6
    assert wrapped(f"agent  DaemonSet {name} and others", 30, 7).splitlines() == [
        "agent  DaemonSet",
        f"       {name}",
        "       and others",
    ]
    assert wrapped("forged\nline", 60, 2) == "forged⟨U+000A⟩line"
