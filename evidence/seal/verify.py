"""Every check of a finished pack: what it holds against what was signed, by whom, and whether the verifier trusts them.

A pure function of the pack's bytes, the verifier's trust and a time. It believes nothing of the pack beforehand: names, manifest and
signer are claims until a check has shown them, and no check is left out because an earlier one failed, so that the answer names everything
that is wrong.

Time. The time of signing is the signer's word. A certificate must have been valid at that time *and* be valid now: whoever holds the key of
an expired certificate could write any earlier time (RFC 5280's model for the present, rather than the chain model). When a timestamp by an
authority that the verifier trusts shows that the pack existed at some earlier time, that time takes the place of now; so does the time that a
verifier gives who had the pack then.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from cryptography import x509

from evidence.canonical import digest
from evidence.errors import InputError, SealError
from evidence.log.proof import CHECKPOINT_FILE, CHECKPOINT_STAMP_FILE, PROOFS_FILE, check_log
from evidence.seal import cms, pades, timestamp
from evidence.seal.certificates import fingerprint, from_pem, self_issued, subject_name, unfit_for_signing
from evidence.seal.manifest import (
    EVIDENCE,
    MANIFEST,
    PAGE,
    REPORT,
    REQUIRED,
    SIGNATURE,
    SIGNER,
    SUMS,
    SUMS_STAMP,
    UNLISTED,
    about,
    bad_path,
    clashes,
    read_manifest,
    read_sums,
)
from evidence.seal.trust import NOBODY, Trust, judge

_ABOUT_SIGNER = ("certificate", "trust")
_CLOCKS_DIFFER = timedelta(minutes=10)


class Outcome(StrEnum):
    """What came of a check."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `path`: the file it is about, "" for the pack as a whole."""

    name: str
    outcome: Outcome
    words: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer. `intact`: nothing was changed since whoever signed it signed; `trusted`: the verifier trusts that signer, and the
    signer's certificate is valid.

    `signer`, `fingerprint` and `signed_at` are None without a readable signature; `manifest` is what the pack says of itself, {} when
    that cannot be read.
    """

    checks: tuple[Check, ...]
    signer: str | None
    fingerprint: str | None
    signed_at: datetime | None
    manifest: Mapping[str, Any]

    @property
    def about(self) -> str:
        """What the pack says that it is about, in one line: to be compared with the pack that was expected."""
        return about(self.manifest.get("summary", {}))

    @property
    def intact(self) -> bool:
        return all(check.outcome is not Outcome.FAILED for check in self.checks if check.name not in _ABOUT_SIGNER)

    @property
    def trusted(self) -> bool:
        outcomes = [check.outcome for check in self.checks if check.name in _ABOUT_SIGNER]
        return bool(outcomes) and all(outcome is Outcome.OK for outcome in outcomes)

    @property
    def good(self) -> bool:
        return self.intact and self.trusted


def verify(
    files: Mapping[str, bytes],
    trust: Trust,
    at: datetime,
    problems: Sequence[tuple[str, str]] = (),
    timestamp_trust: Trust = NOBODY,
) -> Verification:
    """Check a pack's files. `problems` are what reading its folder or zip has found, one (path, sentence) each; `timestamp_trust`: whose
    timestamps are believed, which is nobody whom `trust` names by that alone."""
    signature, signature_checks = _signature(files)
    stamp_checks, existed_at = _timestamps(files, timestamp_trust, at)
    valid_at = min(at, existed_at or at)
    manifest, manifest_checks = _manifest(files, signature)
    checks = [
        *_container(files, problems),
        *_files(files),
        *manifest_checks,
        *signature_checks,
        *_report(files, signature),
        *_page(files),
        *_log(files),
        *stamp_checks,
        *(_certificate(signature, valid_at) if signature else ()),
        *(_trust(signature, trust, valid_at) if signature else ()),
        _revocation(signature),
    ]
    return Verification(
        checks=tuple(checks),
        signer=subject_name(signature.certificate) if signature else None,
        fingerprint=fingerprint(signature.certificate) if signature else None,
        signed_at=signature.signed_at if signature else None,
        manifest=manifest,
    )


def _ok(name: str, words: str, path: str = "") -> Check:
    return Check(name, Outcome.OK, words, path)


def _failed(name: str, words: str, path: str = "") -> Check:
    return Check(name, Outcome.FAILED, words, path)


# -- files ------------------------------------------------------------------------------------------------------------


def _container(files: Mapping[str, bytes], problems: Sequence[tuple[str, str]]) -> list[Check]:
    """Names and kinds of files: nothing that another program or system would read differently."""
    failed = [_failed("names", f"{path} {problem}", path) for path, problem in problems]
    failed += [
        _failed("names", f"the name {path} {problem}", path) for path in sorted(files) if (problem := bad_path(path))
    ]
    failed += [
        _failed("names", f"{first} and {second} are one on some systems", second) for first, second in clashes(files)
    ]
    return failed or [_ok("names", f"{len(files)} plain files, no links, no names that mean something else elsewhere")]


def _files(files: Mapping[str, bytes]) -> list[Check]:
    """Every file against SHA256SUMS: changed, missing, added, renamed."""
    missing_parts = [_failed("files", f"{path} is missing", path) for path in sorted(REQUIRED - set(files))]
    if SUMS not in files:
        return missing_parts
    try:
        listed = read_sums(files[SUMS])
    except SealError as error:
        return [*missing_parts, _failed("files", str(error), SUMS)]
    present = {path: digest(content) for path, content in files.items() if path not in UNLISTED}
    changed = sorted(path for path in listed if path in present and present[path] != listed[path])
    missing = sorted(set(listed) - set(present))
    added = sorted(set(present) - set(listed))
    checks = [_failed("files", f"{path} was changed", path) for path in changed]
    for path in missing:
        now = [other for other in added if present[other] == listed[path]]
        if now:
            added.remove(now[0])
            checks.append(_failed("files", f"{path} was renamed to {now[0]}", path))
        else:
            checks.append(_failed("files", f"{path} is missing", path))
    checks += [_failed("files", f"{path} was added", path) for path in added]
    checks += [check for check in missing_parts if check.path not in listed]
    checks += [
        _failed("files", f"{path} is not in {SUMS}", path)
        for path in sorted(REQUIRED - UNLISTED)
        if path in files and path not in listed and path not in added
    ]
    return checks or [_ok("files", f"{len(listed)} files are as listed in {SUMS}, and there is no other")]


def _manifest(files: Mapping[str, bytes], signature: cms.Signature | None) -> tuple[Mapping[str, Any], list[Check]]:
    """The manifest against SHA256SUMS (which is compared with the files themselves), and its signer against the signature."""
    if MANIFEST not in files:
        return {}, []
    try:
        manifest = read_manifest(files[MANIFEST])
        listed = read_sums(files.get(SUMS, b"\n"))
    except SealError as error:
        blamed = SUMS if str(error).startswith(SUMS) else MANIFEST
        return {}, [] if blamed == SUMS else [_failed("manifest", str(error), MANIFEST)]
    failed = []
    if not _same_list(manifest["files"], listed, files):
        failed.append(_failed("manifest", f"{MANIFEST} lists other files than {SUMS}", MANIFEST))
    if signature and manifest["signer"].get("sha256") != fingerprint(signature.certificate):
        failed.append(_failed("manifest", f"{MANIFEST} names another signer than the signature", MANIFEST))
    return manifest, failed or [_ok("manifest", f"{MANIFEST} lists the same files, and their sizes", MANIFEST)]


def _same_list(entries: Sequence[Any], listed: Mapping[str, str], files: Mapping[str, bytes]) -> bool:
    """Whether a manifest's entries are what SHA256SUMS lists, with the sizes of those files that are as listed."""
    expected = [
        {"path": path, "size": len(files[path]) if digest(files.get(path, b"")) == sha256 else None, "sha256": sha256}
        for path, sha256 in sorted(listed.items())
        if path != MANIFEST
    ]
    if len(entries) != len(expected):
        return False
    return all(
        entry == wanted or (wanted["size"] is None and isinstance(entry, dict) and {**entry, "size": None} == wanted)
        for entry, wanted in zip(entries, expected, strict=True)
    )


# -- signatures -------------------------------------------------------------------------------------------------------


def _signature(files: Mapping[str, bytes]) -> tuple[cms.Signature | None, list[Check]]:
    """The signature over SHA256SUMS, and signer.pem against it."""
    if SIGNATURE not in files:
        return None, []
    try:
        signature = cms.read(files[SIGNATURE])
    except SealError as error:
        return None, [_failed("signature", f"{SIGNATURE}: {error}", SIGNATURE)]
    checks = []
    if SUMS in files and digest(files[SUMS]) != signature.message_digest.hex():
        words = f"{SUMS} is not what {SIGNATURE} signs: the list was changed, or the signature is that of another pack"
        checks.append(_failed("signature", words, SUMS))
    if SIGNER in files:
        try:
            if not _same_certificates(from_pem(files[SIGNER]), signature.certificates):
                checks.append(_failed("signature", f"{SIGNER} is not the certificate that signed", SIGNER))
        except SealError as error:
            checks.append(_failed("signature", f"{SIGNER}: {error}", SIGNER))
    return signature, checks or [
        _ok("signature", f"{SIGNATURE} signs {SUMS}, by the certificate in {SIGNER}", SIGNATURE)
    ]


def _same_certificates(one: Sequence[x509.Certificate], other: Sequence[x509.Certificate]) -> bool:
    """The same signer first, and the same others in any order (CMS sorts them its own way)."""
    return one[0] == other[0] and len(one) == len(other) and set(one) == set(other)


def _report(files: Mapping[str, bytes], signature: cms.Signature | None) -> list[Check]:
    """The PDF's own signature, and the evidence inside it against the evidence beside it."""
    if REPORT not in files:
        return []
    try:
        pdf = pades.read(files[REPORT])
    except SealError as error:
        return [_failed("report", f"{REPORT}: {error}", REPORT)]
    checks = []
    if signature and not pades.same_signer(pdf, signature.certificate):
        checks.append(_failed("report", f"{REPORT} was signed by somebody else than the pack", REPORT))
    inside = pdf.attachments.get(EVIDENCE)
    if inside is None:
        checks.append(_failed("report", f"{REPORT} carries no {EVIDENCE}", REPORT))
    elif EVIDENCE in files and inside != files[EVIDENCE]:
        checks.append(_failed("report", f"the {EVIDENCE} inside {REPORT} is not the one beside it", EVIDENCE))
    words = f"{REPORT} is signed as a whole by the same certificate and carries the same {EVIDENCE}"
    return checks or [_ok("report", words, REPORT)]


def _page(files: Mapping[str, bytes]) -> list[Check]:
    """The evidence that the page carries, byte for byte, against the evidence beside it."""
    if PAGE not in files or EVIDENCE not in files:
        return []
    if files[EVIDENCE] not in files[PAGE]:
        return [_failed("page", f"{PAGE} does not carry the {EVIDENCE} beside it", PAGE)]
    return [_ok("page", f"{PAGE} carries the same {EVIDENCE}", PAGE)]


def _log(files: Mapping[str, bytes]) -> list[Check]:
    """The evidence's snapshots against the log that they are said to be in, and that log against the one of the pack before."""
    if CHECKPOINT_FILE not in files and PROOFS_FILE not in files:
        return [Check("log", Outcome.NOT_CHECKED, "the pack carries no proof that its snapshots are in a store's log")]
    try:
        missing = [path for path in (CHECKPOINT_FILE, PROOFS_FILE) if path not in files]
        if missing:
            raise SealError(f"{missing[0]} is missing")
        cluster, roots = _snapshots(files.get(EVIDENCE, b""))
        shown = check_log(files[CHECKPOINT_FILE], files[PROOFS_FILE], cluster, roots)
    except (SealError, InputError) as error:  # the second: a name that canonical JSON has no bytes for
        return [_failed("log", str(error), PROOFS_FILE)]
    of = f"the log {shown.verifier.name} of {shown.head.size} entries, root {shown.head.root}"
    since = "no earlier pack stood beside it in the archive"
    if shown.previous_head:
        since = f"it continues, unchanged, the log of the pack {shown.previous} ({shown.previous_head.size} entries)"
    return [_ok("log", f"every snapshot ({shown.snapshots}) is in {of}; {since}", PROOFS_FILE)]


def _snapshots(evidence: bytes) -> tuple[str, list[str]]:
    """The cluster of the evidence, and the root digests of its snapshots. Raises SealError for evidence of another shape."""
    try:
        body = json.loads(evidence)
        cluster, roots = body["cover"]["cluster"], [one["root_digest"] for one in body["population"]["snapshots"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SealError(f"{EVIDENCE} does not name a cluster and its snapshots") from error
    if not isinstance(cluster, str) or not all(isinstance(root, str) for root in roots):
        raise SealError(f"{EVIDENCE} does not name a cluster and its snapshots")
    return cluster, roots


def _certificate(signature: cms.Signature, at: datetime) -> list[Check]:
    """Whether the certificate may sign, and was and is valid."""
    certificate = signature.certificate
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    signed_at = signature.signed_at
    failed = []
    if problem := unfit_for_signing(certificate):
        failed.append(problem)
    if signed_at is None:
        failed.append("the signature does not say when it was made")
    elif not first <= signed_at <= last:
        failed.append(
            f"the certificate ({_day(first)} to {_day(last)}) was not valid when it signed ({_moment(signed_at)})"
        )
    elif signed_at > at + _CLOCKS_DIFFER:
        failed.append(f"the time of signing ({_moment(signed_at)}) lies ahead")
    if at > last:
        failed.append(
            f"the certificate expired on {_day(last)}, and no timestamp that you trust shows that the signature is older"
        )
    if at < first:
        failed.append(f"the certificate is valid only from {_day(first)}")
    if failed:
        return [_failed("certificate", words, SIGNER) for words in failed]
    return [
        _ok(
            "certificate",
            f"valid from {_day(first)} to {_day(last)}; signed {_moment(signed_at or at)} by the signer's own clock",
        )
    ]


def _trust(signature: cms.Signature, trust: Trust, at: datetime) -> list[Check]:
    answer = judge(trust, signature.certificates, at)
    return [_ok("trust", answer.words) if answer.trusted else _failed("trust", answer.words)]


def _revocation(signature: cms.Signature | None) -> Check:
    """What an offline check of a pack cannot show."""
    revocation = "needs the issuer's revocation list; ask the issuer"
    if signature and self_issued(signature.certificate):
        revocation = "a self-signed certificate cannot be revoked; ask its owner whether the key is still theirs alone"
    return Check("revocation", Outcome.NOT_CHECKED, revocation)


# -- timestamps -------------------------------------------------------------------------------------------------------


def _timestamps(files: Mapping[str, bytes], trust: Trust, at: datetime) -> tuple[list[Check], datetime | None]:
    """Each timestamp against what it is of and against whose are believed; and since when the pack is thereby shown to exist."""
    checks, existed_at = [], None
    for path, of in ((SUMS_STAMP, SUMS), (CHECKPOINT_STAMP_FILE, CHECKPOINT_FILE)):
        if path not in files:
            continue
        check, stamped_at = _timestamp(path, of, files, trust, at)
        checks.append(check)
        if path == SUMS_STAMP:
            existed_at = stamped_at
    nothing = Check("timestamp", Outcome.NOT_CHECKED, "the pack holds no timestamp of a third party")
    return checks or [nothing], existed_at


def _timestamp(
    path: str, of: str, files: Mapping[str, bytes], trust: Trust, at: datetime
) -> tuple[Check, datetime | None]:
    """The check of one timestamp, and its time when it is by a trusted authority."""
    try:
        found = timestamp.read(files[path], files.get(of, b""))
    except SealError as error:
        return _failed("timestamp", f"{path}: {error}", path), None
    authority = found.certificates[0]
    name = f"{subject_name(authority)} (sha256:{fingerprint(authority)})"
    if found.at > at + _CLOCKS_DIFFER:
        return _failed("timestamp", f"{path}: its time ({_moment(found.at)}) lies ahead", path), None
    answer = judge(trust, found.certificates, at)
    if not answer.trusted:
        words = f"{of} has an intact timestamp of {_moment(found.at)} by {name}; give --trust-timestamps if you believe that authority"
        return Check("timestamp", Outcome.NOT_CHECKED, words, path), None
    first, last = authority.not_valid_before_utc, authority.not_valid_after_utc
    if not first <= min(found.at, at) <= max(found.at, at) <= last:
        words = f"{path}: the certificate of {name} is valid from {_day(first)} to {_day(last)} only"
        return Check("timestamp", Outcome.NOT_CHECKED, words, path), None
    return _ok("timestamp", f"{of} existed on {_moment(found.at)}, says {name}, whom you trust", path), found.at


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
