"""The files of a pack before sealing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from evidence.canonical import digest
from evidence.errors import ReportError
from evidence.report import templates
from evidence.report.pack import pack_files
from evidence.report.templates import template_folder
from evidence.report.view.model import AccessView, Exposure
from tests.conftest import ROOT
from tests.report.builders import POLICY, view

RENDER = """
import sys
from evidence.canonical import digest
from evidence.report.pack import pack_files
from tests.report.builders import view
for path, content in pack_files(view()).items():
    print(digest(content), path)
"""


def test_a_pack_holds_page_document_data_schema_and_policies(pack: Mapping[str, bytes]) -> None:
    paths = list(pack)

    assert paths == sorted(paths)
    assert {
        "index.html",
        "report.pdf",
        "evidence.json",
        "evidence.schema.json",
        "data/findings.csv",
        POLICY.file,
    } <= set(paths)
    assert pack["report.pdf"].startswith(b"%PDF-1.7")


def test_a_policy_s_file_has_the_digest_by_which_the_report_names_it(pack: Mapping[str, bytes]) -> None:
    for policy in json.loads(pack["evidence.json"])["policies"]:
        assert digest(pack[policy["file"]]) == policy["digest"]
        assert policy["digest"] in pack["index.html"].decode()


def test_a_policy_whose_content_is_not_what_was_collected_stops_the_report() -> None:
    damaged = replace(POLICY, body={**POLICY.body, "spec": {"podSelector": {"matchLabels": {"app": "other"}}}})

    with pytest.raises(ReportError, match=r"NetworkPolicy payments/default-deny: its content does not have the digest"):
        pack_files(view(policies=(damaged,)))


@pytest.mark.slow
def test_the_same_view_gives_the_same_bytes_in_any_process_zone_and_hash_order(pack: Mapping[str, bytes]) -> None:
    expected = "".join(f"{digest(content)} {path}\n" for path, content in pack.items())
    for seed, zone in (("1", "UTC"), ("2", "Pacific/Auckland")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
        command = [sys.executable, "-c", RENDER]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        assert run.stdout == expected


@pytest.fixture
def own_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "report_templates"
    shutil.copytree(template_folder(), folder)
    monkeypatch.setattr(templates, "data_folder", lambda _: folder)
    monkeypatch.setattr("evidence.report.pdf.template_folder", lambda: folder)
    return folder


def test_another_folder_for_the_templates_changes_nothing(own_templates: Path, pack: Mapping[str, bytes]) -> None:
    assert pack_files(view()) == pack


@pytest.mark.parametrize(
    "missing", ["fonts/NotoSans-Bold.ttf", "page.html.j2", "sections/summary.html.j2", "base.css", "page.js"]
)
def test_a_missing_template_or_font_is_named(own_templates: Path, missing: str) -> None:
    (own_templates / missing).unlink()

    with pytest.raises(ReportError, match=rf"{Path(missing).name}.*install evidence again"):
        pack_files(view())


def test_a_font_that_is_not_one_is_named(own_templates: Path) -> None:
    (own_templates / "fonts" / "NotoSansMono-Regular.ttf").write_bytes(b"not a font")

    with pytest.raises(ReportError, match=r"NotoSansMono-Regular\.ttf.*install evidence again"):
        pack_files(view())


def test_a_template_that_uses_a_name_that_nobody_gives_is_an_error(own_templates: Path) -> None:
    (own_templates / "sections" / "sign-off.html.j2").write_text("{{ view.cover.sponsor }}", encoding="utf-8")

    with pytest.raises(ReportError, match="sponsor"):
        pack_files(view())


def test_a_report_on_nothing_at_all_can_be_read() -> None:
    empty = view(
        findings=(),
        controls=(),
        waivers=(),
        reviews=(),
        zone_flows=None,
        exposure=Exposure((), 0, ()),
        observed=None,
        access=AccessView((), (), ""),
        changes=(),
        policies=(),
        class_flows=(),
        not_assessed=(),
    )
    unsigned = replace(empty, cover=replace(empty.cover, signer=None, sample=False, organisation="", cluster_uid=""))

    page = pack_files(unsigned)["index.html"].decode()

    assert "No finding is open." in page
    assert "rendered without a key" in page
    assert "SAMPLE DATA" not in page
