"""The JSON of `evidence reach matrix` and `evidence reach query` is what the schemas in the package say."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from evidence.cluster.model import Cluster, Protocol
from evidence.reach.engine import analyse
from evidence.reach.matrix import Unit, document
from evidence.reach.query import Answering, Query, as_json
from evidence.resources import package_file
from tests.oracle.strategies import clusters
from tests.reach.test_laws import RELAXED


def schema(name: str) -> Draft202012Validator:
    body: Mapping[str, Any] = json.loads(package_file("reach", f"{name}.schema.json").read_bytes())
    Draft202012Validator.check_schema(body)
    return Draft202012Validator(body)


MATRIX, ANSWERS = schema("matrix"), schema("answers")
OUTSIDE = ("203.0.113.9", "2001:db8::9")


@RELAXED
@given(clusters(), st.sampled_from(Unit))
def test_every_matrix_is_as_its_schema_says_and_flows_name_peers_of_the_list(cluster: Cluster, unit: Unit) -> None:
    found = json.loads(json.dumps(document(analyse(cluster), unit)))
    MATRIX.validate(found)
    assert [peer["id"] for peer in found["peers"]] == list(range(len(found["peers"])))
    assert {end for flow in found["flows"] for end in (flow["source"], flow["destination"])} <= set(
        range(len(found["peers"]))
    )


@RELAXED
@given(clusters(), st.data())
def test_every_answer_is_as_its_schema_says(cluster: Cluster, data: st.DataObject) -> None:
    ends = st.sampled_from([*(pod.key for pod in cluster.pods), *OUTSIDE])
    asked = data.draw(
        st.lists(st.builds(Query, ends, ends, st.sampled_from(Protocol), st.integers(1, 65535)), max_size=6)
    )
    answering = Answering(analyse(cluster))
    ANSWERS.validate(json.loads(json.dumps([as_json(answering.answer(query)) for query in asked])))


@pytest.mark.parametrize(
    ("validator", "wrong"),
    [
        (MATRIX, {"unit": "pod", "computed_on": "", "not_evaluated": [], "peers": []}),
        (MATRIX, {"unit": "node", "computed_on": "", "not_evaluated": [], "peers": [], "flows": []}),
        (ANSWERS, [{"verdict": "allow"}]),
        (ANSWERS, {"verdict": "allow"}),
    ],
)
def test_the_schemas_refuse_what_is_not_whole(validator: Draft202012Validator, wrong: object) -> None:
    with pytest.raises(ValidationError):
        validator.validate(wrong)
