"""An API server that fails in the middle of a list: nothing half of it is stored, and what went wrong is one clear sentence."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from evidence.cli.main import main
from evidence.cluster.objects import KindResult
from evidence.collect import connection
from evidence.store import Store, StoredSnapshot
from tests.collect.api import Answer, Api, Trouble, kubeconfig
from tests.manifests import body, pod_body

PODS = "/api/v1/pods"
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
FIRST_PAGE: Answer = (
    200,
    {},
    {"metadata": {"resourceVersion": "7", "continue": "500"}, "items": [pod_body("a", "shop")]},
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ATTEMPTS", 2)
    monkeypatch.setattr(connection, "READ_SECONDS", 0.5)


class Collect:
    """`evidence collect` against the test server: its exit code, what it says on standard error, and what it left in the store."""

    def __init__(self, folder: Path, kubeconfig: str, capture: pytest.CaptureFixture[str]) -> None:
        self.db, self._kubeconfig, self._capture = str(folder / "store.db"), kubeconfig, capture

    def __call__(self) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            main(["collect", "--kubeconfig", self._kubeconfig, "--cluster", "prod", "--db", self.db])
        assert isinstance(end.value.code, int)
        return end.value.code, self._capture.readouterr().err

    def newest(self) -> StoredSnapshot:
        with Store.open(self.db, read_only=True) as store:
            return store.read(store.latest("prod").id)

    def clusters(self) -> tuple[str, ...]:
        with Store.open(self.db, read_only=True) as store:
            return store.clusters()


@pytest.fixture
def collect(api: Api, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Collect:
    api.lists["/api/v1/namespaces"] = [body("v1", "Namespace", "kube-system", metadata={"uid": "u-1"})]
    return Collect(tmp_path, kubeconfig(tmp_path, url), capsys)


def about_pods(snapshot: StoredSnapshot) -> KindResult:
    return next(kind for kind in snapshot.collection.kinds if kind.kind == "Pod")


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ((429, {"Retry-After": "1"}, {"message": "too many requests"}), "(429): too many requests"),
        ((500, {}, {"message": "boom"}), "(500): boom"),
        ((200, {}, b'{"items": [{"metadata": {"name"'), "the answer is not JSON"),
        ((200, {"Content-Length": "999"}, b'{"items": ['), "cannot be reached: "),
        ("hang up", "cannot be reached: "),
        (1.0, "cannot be reached: Read timed out"),
        ((410, {}, {"message": "too old"}), "expired 3 times"),
    ],
    ids=["429", "500", "cut off", "shorter than promised", "hangs up", "silent", "410"],
)
def test_a_list_that_fails_midway_leaves_none_of_its_objects_and_says_why(
    trouble: Trouble, why: str, api: Api, collect: Collect
) -> None:
    again: list[Trouble] = [] if why.startswith("expired") else [trouble]  # it is asked twice
    api.trouble[PODS] = [FIRST_PAGE, trouble, *again] * 3
    code, said = collect()
    assert code == 3
    assert "partial: Pod: failed" in said
    snapshot = collect.newest()
    assert [str(obj.key) for obj in snapshot.collection.objects] == ["Namespace kube-system"]
    assert why in about_pods(snapshot).message
    assert snapshot.info.partial


def test_a_token_that_is_revoked_midway_leaves_nothing_but_the_record_of_the_run(api: Api, collect: Collect) -> None:
    api.trouble[PODS] = [FIRST_PAGE, (401, {}, {"message": "Unauthorized"})]
    code, said = collect()
    assert code == 3
    assert said.strip().endswith("the server no longer takes the credentials: Unauthorized")
    assert collect.clusters() == ()
    with Store.open(collect.db, read_only=True) as store:
        (run,) = store.runs("prod", *EVER)
    assert run.outcome == "failed"
    assert "no longer takes the credentials" in run.message


def test_a_server_that_is_gone_midway_leaves_nothing(api: Api, collect: Collect) -> None:
    for path in (PODS, "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies"):
        api.trouble[path] = ["hang up"] * 6
    code, said = collect()
    assert code == 3
    assert "cannot be reached" in said
    assert collect.clusters() == ()


def test_the_run_after_a_failed_one_is_whole_again(api: Api, collect: Collect) -> None:
    api.lists[PODS] = [pod_body("a", "shop"), pod_body("b", "shop")]
    api.trouble[PODS] = [FIRST_PAGE, *[(500, {}, {})] * 2]
    assert collect()[0] == 3
    assert collect()[0] == 0
    assert [obj.key.name for obj in collect.newest().collection.objects] == ["kube-system", "a", "b"]
