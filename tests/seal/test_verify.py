"""Every way to tamper with a pack is found and named; a good pack by a trusted signer passes."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evidence.errors import SealError
from evidence.seal import cms, verify
from evidence.seal.certificates import der, fingerprint
from evidence.seal.keys import Signer
from evidence.seal.manifest import EVIDENCE, MANIFEST, REPORT, REQUIRED, SIGNATURE, SIGNER, SUMS, sums
from evidence.seal.trust import Trust
from evidence.seal.verify import Check, Outcome, Verification
from tests.seal.builders import (
    EVIDENCE_JSON,
    LATER,
    SIGNED_AT,
    certificate,
    issued_signer,
    listed_again,
    new_key,
    report_files,
    report_pdf,
    sealed,
)

Pack = Mapping[str, bytes]


def checked(pack: Pack, signer: Signer | None, **options: object) -> Verification:
    """Verified by somebody who was told the signer's fingerprint, a month after signing."""
    trust = Trust(fingerprints=frozenset({signer.fingerprint} if signer else ()))
    return verify.verify(pack, trust, **{"at": LATER, **options})  # type: ignore[arg-type]


def failures(answer: Verification) -> list[Check]:
    return [check for check in answer.checks if check.outcome is Outcome.FAILED]


def words(answer: Verification) -> str:
    return "\n".join(check.words for check in failures(answer))


def test_pack_as_sealed_by_a_trusted_signer_is_good(pack: Pack, signer: Signer) -> None:
    answer = checked(pack, signer)
    assert failures(answer) == []
    assert answer.good
    assert answer.intact
    assert answer.trusted
    assert answer.fingerprint == signer.fingerprint
    assert answer.signed_at == SIGNED_AT


def test_answer_says_what_the_pack_is_about(pack: Pack, signer: Signer) -> None:
    """A good pack of another quarter in a folder of the expected name would otherwise pass unnoticed."""
    assert checked(pack, signer).about == "PCI DSS v4.0.1, cluster shop, 2026-07-01 to 2026-09-30"
    assert checked(sealed(signer, sample=True), signer).about.endswith("SAMPLE DATA, not a real cluster")


def test_what_was_not_checked_is_said(pack: Pack, signer: Signer) -> None:
    unchecked = {check.name for check in checked(pack, signer).checks if check.outcome is Outcome.NOT_CHECKED}
    assert unchecked == {"log", "revocation", "timestamp"}  # this small pack carries no log


# -- files ------------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte_of_any_file_fails_and_names_the_file(pack: Pack, signer: Signer, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(pack)))
    position = data.draw(st.integers(0, len(pack[path]) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = bytearray(pack[path])
    changed[position] ^= flip
    answer = checked({**pack, path: bytes(changed)}, signer)
    assert not answer.good
    assert path in {check.path for check in failures(answer)}


@pytest.mark.slow
@pytest.mark.parametrize("path", [SIGNATURE, SUMS, SIGNER])
@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_no_byte_of_what_is_signed_can_be_flipped(pack: Pack, signer: Signer, path: str, flip: int) -> None:
    report = {"report.pdf": b""}  # its own signature has its own tests and is slow to read
    accepted = []
    for position in range(len(pack[path])):
        changed = bytearray(pack[path])
        changed[position] ^= flip
        answer = checked({**pack, **report, path: bytes(changed)}, signer)
        if path not in {check.path for check in failures(answer)}:
            accepted.append(position)
    assert accepted == []


@given(cut=st.integers(1, 300))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("path", [SIGNATURE, SUMS, MANIFEST, SIGNER])
def test_a_cut_file_fails(pack: Pack, signer: Signer, path: str, cut: int) -> None:
    answer = checked({**pack, path: pack[path][:-cut]}, signer)
    assert path in {check.path for check in failures(answer)}


@given(junk=st.binary(max_size=400))
@example(junk=b"")
@example(junk=b"\x30\x80")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("path", [SIGNATURE, SUMS, MANIFEST, SIGNER, REPORT])
def test_junk_in_place_of_a_file_is_a_failure_and_never_an_exception(
    pack: Pack, signer: Signer, path: str, junk: bytes
) -> None:
    assert path in {check.path for check in failures(checked({**pack, path: junk}, signer))}


def test_missing_file_is_named(pack: Pack, signer: Signer) -> None:
    answer = checked({path: content for path, content in pack.items() if path != "data/findings.csv"}, signer)
    assert words(answer) == "data/findings.csv is missing"


@pytest.mark.parametrize("path", sorted(REQUIRED))
def test_every_part_that_a_pack_must_have_is_missed(pack: Pack, signer: Signer, path: str) -> None:
    answer = checked({other: content for other, content in pack.items() if other != path}, signer)
    assert f"{path} is missing" in words(answer)
    assert not answer.good


@pytest.mark.parametrize("path", ["data/more.csv", "SHA256SUMS.tsr.txt", "data/SHA256SUMS", "signer.pem.txt"])
def test_added_file_is_named(pack: Pack, signer: Signer, path: str) -> None:
    assert words(checked({**pack, path: b"more"}, signer)) == f"{path} was added"


def test_an_added_timestamp_that_is_none_is_named(pack: Pack, signer: Signer) -> None:
    assert "SHA256SUMS.tsr: not a readable timestamp" in words(checked({**pack, "SHA256SUMS.tsr": b"more"}, signer))


def test_renamed_file_is_named_once_with_both_names(pack: Pack, signer: Signer) -> None:
    moved = {("data/old.csv" if path == "data/findings.csv" else path): content for path, content in pack.items()}
    assert words(checked(moved, signer)) == "data/findings.csv was renamed to data/old.csv"


def test_two_files_that_changed_places_are_both_named(pack: Pack, signer: Signer) -> None:
    one, other = "data/findings.csv", "data/objects/production_default-deny.json"
    answer = checked({**pack, one: pack[other], other: pack[one]}, signer)
    assert {check.path for check in failures(answer)} == {one, other}


def test_list_that_was_made_again_after_an_edit_is_not_what_was_signed(pack: Pack, signer: Signer) -> None:
    edited = {**pack, "data/findings.csv": b"rule,severity\n"}
    answer = checked({**edited, SUMS: sums(edited)}, signer)
    assert f"{SUMS} is not what {SIGNATURE} signs" in words(answer)


def test_line_dropped_from_the_list_with_its_file_is_not_what_was_signed(pack: Pack, signer: Signer) -> None:
    fewer = {path: content for path, content in pack.items() if path != "data/findings.csv"}
    assert SUMS in {check.path for check in failures(checked({**fewer, SUMS: sums(fewer)}, signer))}


def test_lists_that_another_tool_would_read_differently_are_refused(signer: Signer, pack: Pack) -> None:
    line = pack[SUMS].split(b"\n")[0]
    for odd in (
        pack[SUMS] + line + b"\n",
        pack[SUMS].replace(b"  data", b" *data"),
        pack[SUMS].upper(),
        b"# nothing\n" + pack[SUMS],
        pack[SUMS].replace(b"\n", b"\r\n"),
        pack[SUMS] + b"0" * 64 + b"  ../outside\n",
    ):
        again = {**pack, SUMS: odd}
        again[SIGNATURE] = cms.sign(odd, signer, SIGNED_AT)
        assert not checked(again, signer).intact


def test_manifest_that_disagrees_with_the_list_is_named_even_when_signed(pack: Pack, signer: Signer) -> None:
    for old, new in ((b'"size": 27', b'"size": 28'), (b"data/findings.csv", b"data/fandings.csv")):
        again = {**pack, MANIFEST: pack[MANIFEST].replace(old, new)}
        assert again[MANIFEST] != pack[MANIFEST]
        again[SUMS] = sums(again)
        again[SIGNATURE] = cms.sign(again[SUMS], signer, SIGNED_AT)
        assert words(checked(again, signer)) == f"{MANIFEST} lists other files than {SUMS}"


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "../outside", "data/../../x", "a\\b", "C:/x", "a//b", "./x", "x.", "x ", "nul.txt"),
        *("data/é", "a\nb", "a\0b", "-rf", ".hidden", "x" * 241),
    ],
)
def test_names_that_mean_something_else_elsewhere_are_refused(pack: Pack, signer: Signer, name: str) -> None:
    answer = checked({**pack, name: b"x"}, signer)
    assert name in {check.path for check in failures(answer) if check.name == "names"}


def test_names_that_differ_in_case_alone_are_refused(pack: Pack, signer: Signer) -> None:
    answer = checked({**pack, "EVIDENCE.json": pack[EVIDENCE]}, signer)
    assert "EVIDENCE.json and evidence.json are one on some systems" in words(answer)


def test_what_reading_has_found_fails_the_pack(pack: Pack, signer: Signer) -> None:
    answer = checked(pack, signer, problems=[("data/x", "is a link, not a file")])
    assert words(answer) == "data/x is a link, not a file"


# -- signatures and signers -------------------------------------------------------------------------------------------


def test_signature_of_another_pack_of_the_same_signer_is_refused(pack: Pack, signer: Signer) -> None:
    other = sealed(signer, cluster="other")
    answer = checked({**pack, SIGNATURE: other[SIGNATURE]}, signer)
    assert "that of another pack" in words(answer)
    assert not answer.good


def test_signature_by_somebody_else_over_the_same_list_is_refused(pack: Pack, signer: Signer, stranger: Signer) -> None:
    answer = checked({**pack, SIGNATURE: cms.sign(pack[SUMS], stranger, SIGNED_AT)}, signer)
    assert {check.name for check in failures(answer)} == {"manifest", "signature", "report", "trust"}


def test_pack_changed_and_signed_again_by_somebody_of_the_same_name_never_looks_like_the_original(
    pack: Pack, signer: Signer, stranger: Signer
) -> None:
    forged = sealed(stranger, report_files(**{"index.html": b"Everything is isolated." + EVIDENCE_JSON}))
    answer = checked(forged, signer)
    assert answer.signer == signer.name
    assert answer.intact
    assert not answer.trusted
    assert not answer.good
    assert answer.fingerprint != signer.fingerprint
    assert answer.manifest["pack_id"] != checked(pack, signer).manifest["pack_id"]


def test_original_certificate_in_front_of_the_forgers_own_gives_no_trust(
    pack: Pack, signer: Signer, stranger: Signer
) -> None:
    both = signer.certificates_pem + stranger.certificates_pem
    forged = listed_again({**pack, SIGNER: both}, stranger)
    answer = checked(forged, signer)
    assert not answer.good
    assert not answer.trusted
    assert f"{SIGNER} is not the certificate that signed" in words(answer)


def test_other_certificate_for_the_same_key_is_refused(signer: Signer) -> None:
    """The signature's value fits both certificates; the signed attributes name one of them."""
    key = signer.private_key
    double = Signer(certificate("Somebody else", key), (), key)
    made = cms.sign(b"list", signer, SIGNED_AT)
    with pytest.raises(SealError):
        cms.read(made.replace(der(signer.certificate), der(double.certificate)))


def test_without_any_trust_an_intact_pack_says_that_nobody_knows_who_signed(pack: Pack, signer: Signer) -> None:
    answer = checked(pack, None)
    assert answer.intact
    assert not answer.good
    assert words(answer) == f"no trust was given, so nobody can say who signed (sha256:{signer.fingerprint})"


def test_unsigned_pack_is_not_good(pack: Pack, signer: Signer) -> None:
    answer = checked({path: content for path, content in pack.items() if path != SIGNATURE}, signer)
    assert not answer.intact
    assert not answer.trusted
    assert answer.fingerprint is None


# -- time -------------------------------------------------------------------------------------------------------------


def test_certificate_that_has_expired_since_is_refused_but_not_for_who_knows_that_the_pack_is_older(
    signer: Signer,
) -> None:
    key = new_key()
    short = Signer(certificate("Short", key, ends=SIGNED_AT + timedelta(days=5)), (), key)
    pack = sealed(short)
    late = checked(pack, short)
    assert late.intact
    assert not late.good
    assert "expired on 2026-10-06, and no timestamp that you trust shows" in words(late)
    assert checked(pack, short, at=SIGNED_AT + timedelta(days=1)).good


def test_certificate_that_was_not_valid_when_it_signed_is_refused(pack: Pack) -> None:
    key = new_key()
    young = Signer(certificate("Young", key, starts=SIGNED_AT + timedelta(days=1)), (), key)
    files = {**pack, REPORT: pack[REPORT], SIGNER: young.certificates_pem}
    answer = checked(listed_again(files, young), young)
    assert "was not valid when it signed" in words(answer)
    assert not answer.good


def test_time_of_signing_ahead_of_the_verifiers_clock_is_refused(pack: Pack, signer: Signer) -> None:
    assert (
        checked(pack, signer, at=SIGNED_AT - timedelta(minutes=5)).trusted is False
    )  # the certificate starts at SIGNED_AT
    key = new_key()
    fast = Signer(certificate("Fast", key), (), key)
    pack = sealed(fast)
    assert checked(pack, fast, at=SIGNED_AT - timedelta(minutes=5)).good
    late = checked(pack, fast, at=SIGNED_AT - timedelta(hours=1))
    assert words(late) == "the time of signing (2026-10-01 06:30:00 UTC) lies ahead"


def test_certificate_for_other_purposes_is_refused(pack: Pack) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = new_key()
    server = Signer(certificate("www", key, usages=(ExtendedKeyUsageOID.SERVER_AUTH,)), (), key)
    answer = checked(listed_again({**pack, SIGNER: server.certificates_pem}, server), server)
    assert "is not for signing documents" in words(answer)


# -- the report -------------------------------------------------------------------------------------------------------


def test_report_signed_by_somebody_else_than_the_pack_is_named(signer: Signer, stranger: Signer, pack: Pack) -> None:
    answer = checked(listed_again({**pack, REPORT: sealed(stranger)[REPORT]}, signer), signer)
    assert words(answer) == f"{REPORT} was signed by somebody else than the pack"


def test_evidence_inside_the_report_that_differs_from_the_one_beside_it_is_named(signer: Signer) -> None:
    pack = sealed(signer, report_files(**{REPORT: report_pdf(attached=b"{}")}))
    assert words(checked(pack, signer)) == f"the {EVIDENCE} inside {REPORT} is not the one beside it"


def test_report_without_evidence_inside_is_named(signer: Signer) -> None:
    import io

    import pikepdf

    pdf = pikepdf.open(io.BytesIO(report_pdf()))
    del pdf.attachments["evidence.json"]
    out = io.BytesIO()
    pdf.save(out)
    pack = sealed(signer, report_files(**{REPORT: out.getvalue()}))
    assert words(checked(pack, signer)) == f"{REPORT} carries no {EVIDENCE}"


def test_page_that_carries_other_evidence_is_named(signer: Signer) -> None:
    pack = sealed(signer, report_files(**{"index.html": b"<script>{}</script>"}))
    assert words(checked(pack, signer)) == f"index.html does not carry the {EVIDENCE} beside it"


def test_pack_of_a_company_authority_is_good_for_who_trusts_its_root() -> None:
    issued, root = issued_signer()
    pack = sealed(issued)
    trust = Trust(certificates={fingerprint(root): (root, "root.pem")})
    assert verify.verify(pack, trust, LATER).good


def test_pack_that_carries_its_whole_chain_is_good() -> None:
    issued, root = issued_signer()
    whole = Signer(issued.certificate, (*issued.chain, root), issued.private_key)
    assert checked(sealed(whole), whole).good


def test_short_rsa_key_is_refused_whoever_vouches_for_it(pack: Pack) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 1024)
    weak = Signer(certificate("Weak", key), (), key)
    answer = checked(listed_again({**pack, SIGNER: weak.certificates_pem}, weak), weak)
    assert "RSA key of 1024 bits is too short" in words(answer)
