"""index.html: the whole report in one file that needs nothing else and asks the network for nothing.

Its policy forbids everything but its own style and script, each by digest, so that even markup that slipped through could not run or
load. evidence.json stands in it byte for byte; the script compares it, what is shown, and the policies carried with each other.
"""

import base64
import hashlib
import json
from collections.abc import Sequence

from markupsafe import Markup

from evidence.canonical import canonical_json
from evidence.report.presentation import SCREEN, DataFile, values
from evidence.report.templates import render, template_text
from evidence.report.view import ReportView

MAX_OBJECT_BYTES = 3_000_000
_HTML_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def page(view: ReportView, evidence: bytes, files: Sequence[DataFile]) -> bytes:
    """The page. `evidence` are the bytes of evidence.json, `files` the other files of the pack with their digests."""
    style, script = _style(), template_text("page.js")
    text = render(
        "page.html.j2",
        {
            **values(view, files, SCREEN, paper=False),
            "policy": content_security_policy(style, script),
            "style": Markup(style),  # noqa: S704  (ours, from report_templates)
            "script": Markup(script),  # noqa: S704
            "evidence": Markup(evidence.decode("ascii")),  # noqa: S704  (escaped where it is made)
            "objects": Markup(carried_objects(view)),  # noqa: S704
        },
    )
    return text.encode()


def _style() -> str:
    return template_text("base.css") + template_text("page.css")


def content_security_policy(style: str, script: str) -> str:
    """Nothing but this style and this script; no base, no form, no connection."""
    return f"default-src 'none'; style-src '{_source(style)}'; script-src '{_source(script)}'; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def carried_objects(view: ReportView) -> str:
    """JSON from digest to canonical JSON of the policies, current ones first, as many as fit into MAX_OBJECT_BYTES."""
    carried: dict[str, str] = {}
    size = 0
    for policy in sorted(view.policies, key=lambda policy: not policy.current):
        body = canonical_json(policy.body).decode()
        size += len(body)
        if size > MAX_OBJECT_BYTES:
            break
        carried[policy.digest] = body
    return json.dumps(carried, sort_keys=True, ensure_ascii=True).translate(_HTML_ESCAPES)
