"""HOW-TO-VERIFY.txt: exact commands for this pack, with `evidence verify` and with nothing but a shell, sha256sum and openssl.

Two traps are avoided in the openssl commands. `-CAfile` adds to the system's roots rather than replacing them, so any public mail
certificate would pass: `-nointern -certfile` takes the one pinned certificate and no other for the signer's. And `openssl x509` looks at
the first certificate of a file while `-CAfile` trusts all of them: the first is copied out, and only the copy is used.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from evidence.seal.keys import Signer
from evidence.seal.manifest import about

_TEXT = r"""HOW TO VERIFY THIS EVIDENCE PACK

  pack         {identifier}
  about        {about}
  signed by    {name}{kind}
  signed at    {at} (the signer's own clock)
  certificate  SHA-256 {fingerprint}

Everything below works offline. It shows two things: that no file of this pack was changed, added, removed or renamed
since it was signed, and that the holder of the key of this certificate signed it.

It cannot show whose key that is. This text came with the pack, so whoever made the pack wrote it. Ask the signer for the
certificate's SHA-256 by another way (by telephone, from a contract, from an earlier report), compare it with the one above,
and put the one that you were told into the commands.


1. With the program evidence

    evidence verify . --trust sha256:{fingerprint}

   (in this folder; instead of "." give the path of the folder or of a zip of it). Exit code 0: intact, and signed by the
   one you trust.


2. With sha256sum and openssl

   In a shell, in this folder, with a folder outside it for what is written on the way:

    work=$(mktemp -d)

   Every step has to succeed.

   a. Every listed file is unchanged:

    sha256sum --strict --quiet -c SHA256SUMS && echo "files: OK"

      (macOS: shasum -a 256 -c SHA256SUMS)

   b. There is no other file, no link and no empty folder. Nothing may be printed but OK:

    find . ! -type d | sed 's,^\./,,' | grep -vxF -e SHA256SUMS -e SHA256SUMS.p7s -e SHA256SUMS.tsr | LC_ALL=C sort > "$work/present"
    cut -c 67- SHA256SUMS | LC_ALL=C sort | diff - "$work/present" && test -z "$(find . ! -type d ! -type f -o -type d -empty)" && echo "list: OK"

   c. The signer's certificate is the one that you were told about. Copy it out of the pack (the first of the file and no
      other), and look at its subject, dates and fingerprint:

    openssl x509 -in signer.pem -out "$work/signer.pem"
    openssl x509 -in "$work/signer.pem" -noout -subject -dates -fingerprint -sha256

      The fingerprint has to be the one that you were told. If this text is right, that is

      {colons}

   d. The key of that certificate signed the list:

    openssl cms -verify -binary -inform DER -in SHA256SUMS.p7s -content SHA256SUMS \
      -nointern -certfile "$work/signer.pem" -CAfile "$work/signer.pem"{partial} -purpose any -out "$work/signed"

      It has to print "CMS Verification successful". After {until:%Y-%m-%d} the certificate has expired: then add
      -attime and a time, in seconds since 1970, at which you already had this pack.
{issued}
   If there is a file SHA256SUMS.tsr, an authority for timestamps says since when the pack exists. Get the authority's root
   certificate from a source of your own as time-root.pem (in the folder above this one). The first command shows the time,
   the second has to print "Verification: OK":

    openssl ts -reply -in SHA256SUMS.tsr -text
    openssl ts -verify -data SHA256SUMS -in SHA256SUMS.tsr -CAfile ../time-root.pem


3. The PDF alone

   report.pdf carries its own signature by the same certificate, for when it is passed on without the rest. A viewer that
   checks signatures has to say that the WHOLE document is signed. With poppler's pdfsig the line

      Total document signed

   has to be there; without it the file was changed after signing, whatever else is said of the signature.


Not shown by any of this: that the time of signing is true (only a timestamp shows a latest time), and whether the
certificate has been revoked since.
"""

_ISSUED = r"""
   e. The certificate was issued by
        {issuer}
      To rely on that issuer instead of the fingerprint, get its root certificate from a source of your own as root.pem
      (in the folder above this one), and after step c run this instead of step d. The two -no options keep out the
      roots that your system trusts for other purposes; openssl before 3.0 knows only the first.

    openssl cms -verify -binary -inform DER -in SHA256SUMS.p7s -content SHA256SUMS \
      -nointern -certfile "$work/signer.pem" -CAfile ../root.pem -no-CApath -no-CAstore -purpose any -out "$work/signed"
"""


def how_to_verify(signer: Signer, at: datetime, identifier: str, summary: Mapping[str, Any]) -> bytes:
    """The text for one pack, UTF-8. `at` is in UTC."""
    digits = signer.fingerprint.upper()
    issuer = _line(signer.certificate.issuer.rfc4514_string())
    text = _TEXT.format(
        identifier=identifier,
        about=_line(about(summary)),
        name=_line(signer.name),
        kind=" (self-signed certificate)" if signer.self_signed else "",
        at=f"{at:%Y-%m-%d %H:%M:%S} UTC",
        fingerprint=signer.fingerprint,
        colons=":".join(digits[start : start + 2] for start in range(0, 64, 2)),
        until=signer.certificate.not_valid_after_utc,
        partial="" if signer.self_signed else " -partial_chain",
        issued="" if signer.self_signed else _ISSUED.format(issuer=issuer),
    )
    return text.encode()


def _line(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
