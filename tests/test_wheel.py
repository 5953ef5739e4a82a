"""A wheel installed into an empty environment works from any folder: its templates, controls, migrations and sample are inside."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

DATA = ("controls", "report_templates", "migrations")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the checkout with what is installed here: nothing is fetched."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def in_checkout(folder: str) -> set[str]:
    """Files below a folder of the checkout, relative to it, without what an interpreter or editor leaves behind."""
    return {
        str(path.relative_to(ROOT / folder))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


@pytest.mark.slow
def test_wheel_holds_every_file_of_the_package_and_of_its_data(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"evidence/{name}" for name in in_checkout("evidence")}
    wanted |= {f"evidence/_data/{folder}/{name}" for folder in DATA for name in in_checkout(folder)}
    assert wanted - inside == set()
    for example in (
        "evidence/cni/capabilities.yaml",
        "evidence/cni/report.schema.json",
        "evidence/intent/segmentation.schema.json",
        "evidence/reach/flows.schema.json",
        "evidence/sample/cluster-2026-08-20.json",
        "evidence/sample/segmentation.yaml",
        "evidence/_data/controls/pci-dss-4.0.1.yaml",
        "evidence/_data/migrations/env.py",
        "evidence/_data/report_templates/fonts/NotoSans-Regular.ttf",
    ):
        assert example in inside


@pytest.mark.slow
def test_wheel_holds_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    outside = [name for name in names if not name.startswith("evidence/") and ".dist-info/" not in name]
    assert outside == []
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".pem", ".key", ".db"))]


@pytest.mark.slow
def test_wheel_in_an_empty_environment_runs_the_demo_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    # The dependencies come from the environment that runs the tests; its checkout of this project does not, since a
    # .pth file in a folder that a .pth file names is not read.
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = [python, "-c", "import evidence; print(evidence.__file__)"]
    found = subprocess.run(where, cwd=elsewhere, capture_output=True, text=True, check=True, timeout=60)
    assert str(site) in found.stdout

    demo = subprocess.run(
        [tmp_path / "venv" / "bin" / "evidence", "demo", "--folder", "out"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert (elsewhere / "out" / "archive" / "index.html").is_file()
    assert len(list((elsewhere / "out" / "archive").glob("*/report.pdf"))) == 3
    last = demo.stdout.splitlines()[-1].split()
    verify = subprocess.run(
        [tmp_path / "venv" / "bin" / "evidence", *last[last.index("evidence") + 1 :]],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert verify.returncode == 0, verify.stdout + verify.stderr
