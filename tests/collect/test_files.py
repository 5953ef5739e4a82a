"""Files, folders and standard input: what is read, what is refused, and what --keep-going leaves out."""

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evidence.cluster.objects import Collection, KindStatus, ObjectKey
from evidence.cluster.parse import MODELLED_KINDS, build_cluster
from evidence.collect.files import collect_files, read_cluster
from evidence.errors import CollectError, InputError, ManyInputsError
from tests.manifests import body, pod_body, policy_body, workload_body


def collect(*paths: Path | str, stdin: bytes | None = None, keep_going: bool = False) -> Collection:
    return collect_files(
        [str(path) for path in paths], stdin=None if stdin is None else io.BytesIO(stdin), keep_going=keep_going
    )


def names(collection: Collection) -> list[str]:
    return [str(obj.key) for obj in collection.objects]


def kind_list(*items: Any, kind: str = "List", version: str = "v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "items": list(items)}


# -- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(pod_body()),
        json.dumps(kind_list(pod_body())),
        json.dumps(kind_list({"metadata": {"name": "a", "namespace": "default"}}, kind="PodList")),
        json.dumps(kind_list(kind_list(pod_body()))),
        json.dumps([pod_body()]),
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
        "---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: a\n...\n",
        "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n",
    ],
)
@pytest.mark.parametrize("name", ["x.yaml", "x.YML", "x.yml"])
def test_one_pod_however_it_is_written(content: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(content)
    assert names(collect(file)) == ["Pod default/a"]
    assert names(collect("-", stdin=content.encode())) == ["Pod default/a"]


def test_a_folder_is_read_whole_but_for_hidden_and_other_files(tmp_path: Path) -> None:
    gather = tmp_path / "must-gather" / "quay-io-image"
    for path, content in {
        "namespaces/shop/core/pods.yaml": kind_list(
            {**pod_body("a", "shop"), "metadata": {**seen("1"), "name": "a", "namespace": "shop"}}, kind="PodList"
        ),
        "namespaces/shop/pods/a/a.yaml": {
            **pod_body("a", "shop"),
            "metadata": {**seen("1"), "name": "a", "namespace": "shop"},
        },
        "namespaces/shop/networking.k8s.io/networkpolicies.yaml": kind_list(
            kind="NetworkPolicyList", version="networking.k8s.io/v1"
        ),
        "cluster-scoped-resources/core/nodes/n1.json": body("v1", "Node", "n1"),
        ".hidden/secret.yaml": "not: kubernetes",
        "namespaces/shop/pods/a/logs/current.log": "not: [yaml",
    }.items():
        file = gather / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    collection = collect(tmp_path)
    assert names(collection) == ["Node n1", "Pod shop/a"]
    status = {(kind.group, kind.kind): kind.status for kind in collection.kinds}
    assert status["networking.k8s.io", "NetworkPolicy"] is KindStatus.LISTED  # an empty list says that there are none
    assert status["", "Service"] is KindStatus.NOT_IN_SOURCE


def seen(version: str) -> dict[str, str]:
    return {"uid": "u1", "resourceVersion": version}


def test_a_dump_says_which_cluster_it_is_of_by_the_uid_of_kube_system(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    other = body("v1", "Namespace", "shop", metadata={"uid": "u-shop"})
    for uid, known in ({"uid": "u-cluster"}, "u-cluster"), ({}, ""), ({"uid": {"not": "text"}}, ""):
        file.write_text(json.dumps(kind_list(other, body("v1", "Namespace", "kube-system", metadata=uid))))
        assert collect(file).source.cluster_uid == known
    file.write_text(json.dumps(kind_list(other)))
    assert (collect(file).source.cluster_uid, collect(file).source.server_version) == ("", "")


def test_sources_name_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n# another\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\n"
    )
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps(kind_list(pod_body("c"), pod_body("d")), indent=4))
    sources = [obj.source for obj in collect(tmp_path).objects]
    assert sources == [f"{file}:1", f"{file}:6", f"{dump}:5", f"{dump}:13"]


def test_without_a_namespace_an_object_is_in_default_and_cluster_scoped_ones_are_in_none(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, namespace: odd}\n"
    )
    assert [obj.key for obj in collect(file).objects] == [
        ObjectKey("", "Node", "", "n1"),
        ObjectKey("", "Pod", "default", "a"),
    ]


def test_objects_of_old_groups_are_those_of_today(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    old = {**policy_body({"podSelector": {}}), "apiVersion": "extensions/v1beta1"}
    file.write_text(json.dumps(old))
    cluster = build_cluster(collect(file))
    assert [policy.key.group for policy in cluster.policies] == ["networking.k8s.io"]


def test_the_same_content_gives_the_same_digests_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(policy_body({"podSelector": {"matchLabels": {"a": "b"}}})))
    (tmp_path / "x.yaml").write_text(
        "kind: NetworkPolicy\nspec: {podSelector: {matchLabels: {a: b}}}\nmetadata: {namespace: default, name: a}\napiVersion: networking.k8s.io/v1\n"
    )
    one, two = (collect(tmp_path / name).objects[0] for name in ("x.json", "x.yaml"))
    assert one.digest == two.digest
    assert len(one.digest) == 64


def test_reading_for_analysis_gives_the_same_cluster_without_digests(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(kind_list(pod_body(), policy_body({}), workload_body("Deployment"))))
    whole = read_cluster([str(tmp_path)], stdin=None, keep_going=False)
    assert whole == build_cluster(collect(tmp_path))
    assert {pod.digest for pod in whole.pods} == {""}


# -- what is refused --------------------------------------------------------------------------------------------------

POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db}\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.yaml", "", "x.yaml: is empty: it holds no Kubernetes object"),
        ("x.yaml", "# only a comment\n---\n", "x.yaml: is empty"),
        ("x.json", "", "x.json: is empty"),
        ("x.json", '{"apiVersion": "v1", "kind": "Po', "x.json:1: is not JSON: unexpected end of data; it ends too early, as if cut off"),
        ("x.yaml", "a: [1,\n", "x.yaml:2: is not YAML"),
        ("x.yaml", "just words", "x.yaml:1: is not a Kubernetes object but 'just words'"),
        ("x.yaml", "- a\n", "x.yaml: items[0] is not a Kubernetes object but 'a'"),
        ("x.yaml", "a: 1\n", "x.yaml:1: is not a Kubernetes object: apiVersion and kind must both be given"),
        ("x.yaml", "apiVersion: 1\nkind: Pod\n", "x.yaml:1: is not a Kubernetes object: apiVersion and kind must both be given as text"),
        ("x.yaml", "apiVersion: v1\nkind: Pod\n", "x.yaml:1: Pod: metadata must be an object, not null"),
        ("x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {}\n", "x.yaml:1: Pod: metadata.name is missing"),
        ("x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n", "x.yaml:1: Pod: metadata.name is missing or not text (5)"),
        ("x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: y}\n", "x.yaml:1: Pod a: metadata.namespace must be text, not true"),
        ("x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a/b}\n", "x.yaml:1: Pod a/b: a name cannot hold a slash"),
        ("x.json", json.dumps(pod_body("a\0")), r"x.json:1: Pod 'a\x00': a name cannot hold a zero byte"),
        ("x.json", json.dumps(pod_body("a", "b" * 254)), "x.json:1: Pod 'a': a name has at most 253 characters, not 254"),
        ("x.yaml", "apiVersion: v1\nkind: List\nitems: {}\n", "x.yaml:1: List: items must be a list of objects, not an object"),
        ("x.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n", "x.yaml:5: the key 'name' stands twice in one mapping"),
        ("x.json", '{"kind": "Pod",\n"kind": "Pod"}', "x.json:2: the key 'kind' stands twice in one object"),
        ("x.yaml", POLICY + "spec: {podSelector: {matchExpressions: [{key: a, operator: Is}]}}\n", "NetworkPolicy default/db: spec.podSelector.m"),
        ("x.yaml", "\n\n" + POLICY + "spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/40}}]}]}\n", "x.yaml:3: NetworkPolicy default/db: spec"),
        ("x.yaml", POLICY.replace("NetworkPolicy", "Networkpolicy"), "did you mean NetworkPolicy of networking.k8s.io/v1?"),
        ("x.yaml", POLICY.replace("networking.k8s.io/v1", "v1"), "did you mean NetworkPolicy of networking.k8s.io/v1?"),
        ("x.yaml", POLICY.replace("NetworkPolicy", "NetworkingPolicy"), "API group networking.k8s.io has no such kind"),
        ("x.json", json.dumps(body("cilium.io/v2", "CiliumNetworkPolicy", spec={"n": 2**60})), "cannot be written as canonical JSON"),
    ],
)  # fmt: skip
def test_one_sentence_says_what_is_wrong_and_where(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        collect(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/{name}")
    assert message in text
    assert "\n" not in text
    assert text.endswith("; mend it, or leave it out with --keep-going")


@pytest.mark.parametrize("kind", ["Pod", "ReplicaSet", "NetworkPolicy", "ConfigMap", "Widget"])
@pytest.mark.parametrize("second", [{}, {"namespace": "default"}])
def test_two_objects_of_one_kind_namespace_and_name_are_an_error(
    kind: str, second: dict[str, str], tmp_path: Path
) -> None:
    group = {"ReplicaSet": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1", "Widget": "example.com/v1"}.get(
        kind, "v1"
    )
    for name, namespace in (("one.yaml", {}), ("two.yaml", second)):
        raw = {"apiVersion": group, "kind": kind, "metadata": {"name": "a", **namespace}, "spec": {"template": {}}}
        (tmp_path / name).write_text(
            json.dumps({key: value for key, value in raw.items() if key != "spec" or kind == "ReplicaSet"})
        )
    with pytest.raises(InputError, match=rf"two\.yaml:1: {kind} default/a stands twice; first in .*one\.yaml:1"):
        collect(tmp_path)


def test_one_object_read_twice_is_one_and_two_states_of_it_are_not(tmp_path: Path) -> None:
    for name, version in (("one.json", "7"), ("two.json", "7")):
        (tmp_path / name).write_text(json.dumps(pod_body(metadata=seen(version))))
    assert names(collect(tmp_path)) == ["Pod default/a"]
    (tmp_path / "three.json").write_text(json.dumps(pod_body(metadata=seen("8"))))
    with pytest.raises(InputError, match="stands twice"):
        collect(tmp_path)


@pytest.mark.parametrize(
    ("path", "message"),
    [("absent", "absent: there is no such file or folder"), ("", "no file in this folder ends in .yaml, .yml, .json")],
)
def test_what_is_not_there_cannot_be_read(path: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CollectError) as caught:
        collect(tmp_path / path)
    assert message in str(caught.value)


def test_no_path_and_no_standard_input_are_errors() -> None:
    with pytest.raises(CollectError, match="no file or folder is given"):
        collect()
    with pytest.raises(CollectError, match="standard input cannot be read here"):
        collect("-")


def test_everything_that_is_wrong_is_named_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[")
    (tmp_path / "b.json").write_text(json.dumps(kind_list(pod_body(spec=[]), 5)))
    with pytest.raises(ManyInputsError) as caught:
        collect(tmp_path)
    lines = str(caught.value).split("\n")
    assert len(lines) == 3
    assert lines[-1].endswith("; mend them, or leave them out with --keep-going")


def test_an_alias_bomb_of_ten_megabytes_is_refused_in_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    file = tmp_path / "bomb.yaml"
    names = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join(['*' + before] * 9)}]" for before, name in pairwise(names)]
    file.write_text("\n".join(lines) + "\npadding: " + "x" * 10_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="alias bomb"):
            collect(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000


# -- keep going -------------------------------------------------------------------------------------------------------


def test_keep_going_stores_the_rest_and_lists_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(kind_list(pod_body("good"), policy_body([], "bad"))))
    collection = collect(tmp_path, keep_going=True)
    assert names(collection) == ["Pod default/good"]
    assert collection.partial
    (problem,) = collection.problems
    assert problem.where == f"{tmp_path}/x.json:1"
    assert problem.message == "NetworkPolicy default/bad: spec must be an object, not a list"
    assert build_cluster(collection).unread_kinds == ("NetworkPolicy",)
    assert read_cluster([str(tmp_path)], stdin=None, keep_going=True).unread_kinds == ("NetworkPolicy",)


def test_a_file_that_cannot_be_read_leaves_every_kind_in_doubt(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(pod_body()))
    (tmp_path / "b.yaml").write_text("a: [")
    collection = collect(tmp_path, keep_going=True)
    assert names(collection) == ["Pod default/a"]
    assert build_cluster(collection).unread_kinds == MODELLED_KINDS


def test_the_documents_before_a_broken_one_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\nb: [\n")
    collection = collect(tmp_path, keep_going=True)
    assert names(collection) == ["Pod default/a"]
    assert len(collection.problems) == 1
