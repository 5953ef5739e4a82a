"""The files of a pack before they are sealed: the page, the PDF, evidence.json with its schema, the tables, the policies as collected."""

from collections.abc import Mapping

from evidence.canonical import canonical_json, digest
from evidence.errors import ReportError
from evidence.report.document import evidence_json, schema_bytes
from evidence.report.html import page
from evidence.report.pdf import document
from evidence.report.presentation import data_files
from evidence.report.tables import csv_files
from evidence.report.view import ReportView
from evidence.report.view.model import PolicyObject

EVIDENCE = "evidence.json"
SCHEMA = "evidence.schema.json"


def pack_files(view: ReportView) -> Mapping[str, bytes]:
    """Path in the pack to content, sorted by path; the same view gives the same bytes. report.pdf is not signed yet.

    Raises ReportError when a template or font is missing, or a policy does not have the digest that the report gives it.
    """
    evidence = evidence_json(view)
    data = {
        EVIDENCE: evidence,
        SCHEMA: schema_bytes(),
        **{f"data/{name}": content for name, content in csv_files(view).items()},
        **{policy.file: object_file(policy) for policy in view.policies},
    }
    listed = data_files(data)
    files = {**data, "index.html": page(view, evidence, listed), "report.pdf": document(view, evidence, listed)}
    return dict(sorted(files.items()))


def object_file(policy: PolicyObject) -> bytes:
    """A policy's canonical JSON, whose SHA-256 is the digest by which the report names it."""
    content = canonical_json(policy.body)
    if digest(content) != policy.digest:
        raise ReportError(
            f"{policy.object}: its content does not have the digest {policy.digest} under which it was collected; "
            "the store is damaged: check it with `evidence db check`"
        )
    return content
