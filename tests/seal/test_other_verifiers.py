"""What tools that know nothing of this program say of a pack: the commands of HOW-TO-VERIFY.txt as an auditor types them, and pdfsig."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from evidence.seal.keys import Signer
from evidence.seal.manifest import HOW_TO, SIGNER
from tests.seal.builders import EVIDENCE_JSON, issued_signer, listed_again, pem, report_files, sealed, write
from tests.seal.test_report_attacks import other_text, white_annotation

pytestmark = pytest.mark.real

SIGNED = 1790836200  # SIGNED_AT in seconds since 1970: these packs are signed at a fixed time, whatever the clock says
GOOD = ("files: OK", "list: OK", "CMS Verification successful")


def needed(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")


def commands(text: str) -> str:
    """The indented commands of chapter 2, as one script. The one addition is the time, since these packs lie in the future or the past."""
    chapter = text[text.index("\n2. ") : text.index("\n3. ")]
    lines = re.findall(r"^    {0,2}((?:work=|sha256sum|find|cut|openssl|  -nointern).*)$", chapter, re.MULTILINE)
    return "\n".join(lines).replace("openssl cms -verify", f"openssl cms -verify -attime {SIGNED + 60}")


def typed(folder: Path) -> str:
    """Everything that the commands print, with exit codes after each failed one."""
    needed("openssl", "sha256sum")
    script = commands((folder / HOW_TO).read_text(encoding="utf-8"))
    assert script.count("openssl") >= 3
    run = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    return run.stdout + run.stderr


def test_commands_of_the_instructions_accept_a_good_pack(
    tmp_path: Path, pack: Mapping[str, bytes], signer: Signer
) -> None:
    output = typed(write(tmp_path, pack))
    for words in GOOD:
        assert words in output
    digits = signer.fingerprint.upper()
    assert "Fingerprint=" + ":".join(digits[at : at + 2] for at in range(0, 64, 2)) in output
    assert digits[:2] + ":" + digits[2:4] in (tmp_path / HOW_TO).read_text(encoding="utf-8")


def test_plain_openssl_accepts_the_signature_without_options_for_purpose(
    tmp_path: Path, pack: Mapping[str, bytes]
) -> None:
    needed("openssl")
    write(tmp_path, pack)
    words = [
        "openssl",
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-in",
        "SHA256SUMS.p7s",
        "-content",
        "SHA256SUMS",
    ]
    words += ["-CAfile", "signer.pem", "-attime", str(SIGNED + 60), "-out", "/dev/null"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)


def test_commands_of_the_instructions_accept_a_pack_of_a_company_authority(tmp_path: Path) -> None:
    issued, root = issued_signer()
    (tmp_path / "root.pem").write_bytes(pem(root))
    folder = write(tmp_path / "pack", sealed(issued))
    output = typed(folder)
    assert output.count("CMS Verification successful") == 2  # by the pinned certificate, and by the authority's root


def test_other_root_does_not_vouch_in_openssl_either(tmp_path: Path) -> None:
    issued, _ = issued_signer()
    _, other = issued_signer()
    (tmp_path / "root.pem").write_bytes(pem(other))
    assert typed(write(tmp_path / "pack", sealed(issued))).count("CMS Verification successful") == 1


def changed(folder: Path) -> None:
    (folder / "data" / "findings.csv").write_text("nothing")


def missing(folder: Path) -> None:
    (folder / "data" / "findings.csv").unlink()


def added(folder: Path) -> None:
    (folder / "data" / "more.csv").write_text("more")


def added_hidden(folder: Path) -> None:
    (folder / ".hidden").write_text("more")


def added_folder(folder: Path) -> None:
    (folder / "data" / "more").mkdir()


def renamed(folder: Path) -> None:
    (folder / "data" / "findings.csv").rename(folder / "data" / "old.csv")


def linked(folder: Path) -> None:
    (folder / "data" / "findings.csv").rename(folder.parent / "elsewhere.csv")
    (folder / "data" / "findings.csv").symlink_to(folder.parent / "elsewhere.csv")


def list_edited(folder: Path) -> None:
    changed(folder)
    new = subprocess.run(["sha256sum", "data/findings.csv"], cwd=folder, capture_output=True, check=True).stdout
    lines = (folder / "SHA256SUMS").read_bytes().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_bytes(b"".join(new if b"findings.csv" in line else line for line in lines))


@pytest.mark.parametrize(
    "tamper",
    [changed, missing, added, added_hidden, added_folder, renamed, linked, list_edited],
    ids=lambda one: one.__name__,
)
def test_commands_of_the_instructions_catch(tmp_path: Path, pack: Mapping[str, bytes], tamper: object) -> None:
    folder = write(tmp_path / "pack", pack)
    tamper(folder)  # type: ignore[operator]
    assert any(words not in typed(folder) for words in GOOD)


def test_commands_catch_a_forger_who_puts_the_original_certificate_first(
    tmp_path: Path, pack: Mapping[str, bytes], signer: Signer, stranger: Signer
) -> None:
    """The fingerprint shown is then the right one, and plain `-CAfile signer.pem` would trust the second certificate as well."""
    forged = listed_again({**pack, SIGNER: signer.certificates_pem + stranger.certificates_pem}, stranger)
    output = typed(write(tmp_path, forged))
    assert "files: OK" in output
    assert "CMS Verification successful" not in output


def test_commands_catch_a_signature_from_an_authority_that_the_system_trusts(
    tmp_path: Path, pack: Mapping[str, bytes], signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openssl adds its own roots to -CAfile; a mail certificate of a public authority must not pass for the signer's."""
    needed("openssl")
    public, root = issued_signer("Public Root")
    system = tmp_path / "system"
    system.mkdir()
    (system / "root.pem").write_bytes(pem(root))
    subprocess.run(["openssl", "rehash", str(system)], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(system))

    pinned = listed_again({**pack, SIGNER: signer.certificates_pem}, public)
    assert "CMS Verification successful" not in typed(write(tmp_path / "pinned", pinned))
    _, other = issued_signer("Own Root")
    (tmp_path / "root.pem").write_bytes(pem(other))
    output = typed(write(tmp_path / "rooted", sealed(public)))
    assert (
        output.count("CMS Verification successful") == 1
    )  # by the pinned certificate, not by the root that is not the auditor's


# -- pdfsig -----------------------------------------------------------------------------------------------------------


def pdfsig(folder: Path, pdf: bytes, trusted: bytes) -> str:
    needed("pdfsig", "certutil")
    database = f"sql:{folder}"
    (folder / "root.pem").write_bytes(trusted)
    (folder / "report.pdf").write_bytes(pdf)
    subprocess.run(["certutil", "-N", "-d", database, "--empty-password"], check=True, capture_output=True)
    add = ["certutil", "-A", "-d", database, "-n", "root", "-t", "CT,C,C", "-i", str(folder / "root.pem")]
    subprocess.run(add, check=True, capture_output=True)
    run = subprocess.run(
        ["pdfsig", "-nssdir", database, str(folder / "report.pdf")], capture_output=True, text=True, check=False
    )
    return run.stdout


def test_pdfsig_finds_the_report_valid_whole_and_trusted(tmp_path: Path) -> None:
    issued, root = issued_signer()
    output = pdfsig(tmp_path, sealed(issued)["report.pdf"], pem(root))
    assert "Signature is Valid" in output
    assert "Total document signed" in output
    assert "Certificate is Trusted" in output
    assert "ETSI.CAdES.detached" in output


@pytest.mark.parametrize("attack", [other_text, white_annotation], ids=lambda one: one.__name__)
def test_pdfsig_shows_a_later_revision_only_by_the_missing_line_that_the_instructions_name(
    tmp_path: Path, attack: object
) -> None:
    issued, root = issued_signer()
    output = pdfsig(tmp_path, attack(sealed(issued)["report.pdf"]), pem(root))  # type: ignore[operator]
    assert "Signature is Valid" in output
    assert "Total document signed" not in output


def test_report_carries_evidence_that_other_programs_take_out(tmp_path: Path, signer: Signer) -> None:
    needed("pdfdetach")
    (tmp_path / "report.pdf").write_bytes(sealed(signer, report_files())["report.pdf"])
    subprocess.run(["pdfdetach", "-saveall", "report.pdf"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "evidence.json").read_bytes() == EVIDENCE_JSON
