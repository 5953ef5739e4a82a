"""The archive's index.html: every pack of the folder on one page that opens from a file and asks the network for nothing.

It looks like the report, by the same style sheet and templates, and has the same policy: no script or style but its own, by digest. Names
come from manifests that anybody may have written: they are escaped as text and encoded in links.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from evidence.archive.entries import Archive, Entry, read_archive
from evidence.errors import ReportError
from evidence.report.charts import verdict_bar
from evidence.report.html import content_security_policy
from evidence.report.templates import colours, render, template_text

PAGE = "index.html"


def write_site(folder: Path) -> Path:
    """Build the page over all packs in a folder and give its path. It appears whole or not at all.

    Raises ReportError when the folder cannot be read or written.
    """
    page = index_page(read_archive(folder))
    target = folder / PAGE
    partial = folder / f".{PAGE}.partial-{os.getpid()}"
    try:
        partial.write_bytes(page)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ReportError(f"{target}: the archive's page cannot be written: {error.strerror}") from error
    return target


def index_page(archive: Archive) -> bytes:
    """The page. Same packs, same bytes."""
    style = template_text("base.css") + template_text("archive.css")
    script = template_text("archive.js")
    return render("archive.html.j2", _values(archive, style, script)).encode()


def _values(archive: Archive, style: str, script: str) -> dict[str, Any]:
    paints = colours()
    return {
        "archive": archive,
        "bars": {entry.folder: verdict_bar(entry.verdicts, paints) for entry in archive.entries},
        "clusters": sorted({entry.cluster for entry in archive.entries}),
        "frameworks": sorted({(entry.framework, entry.framework_title) for entry in archive.entries}),
        "link": link,
        "open": _open,
        "policy": content_security_policy(style, script),
        "style": Markup(style),  # noqa: S704  (ours, from report_templates)
        "script": Markup(script),  # noqa: S704
    }


def link(folder: str, *parts: str) -> str:
    """Address of a file in a pack, relative to the page. The leading "./" keeps a name from being read as a scheme or host."""
    return "./" + "/".join(quote(os.fsencode(part), safe="") for part in (folder, *parts))


def _open(entry: Entry) -> Mapping[str, int]:
    """Open findings by severity, those that there are."""
    return {severity: number for severity, number in entry.open_findings.items() if number}
