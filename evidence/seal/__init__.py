"""Sealing: keys, signatures, the manifest, and the check of a finished pack.

    certificates  X.509, read without trust in its bytes
    keys      who signs: a key made on first use, or one given by path
    manifest  the files of a pack: which names they may have, SHA256SUMS, manifest.json
    cms       detached CMS signature of SHA256SUMS
    pades     signature inside report.pdf
    pack      all of that over a report's files, and HOW-TO-VERIFY.txt
    read      a pack from a folder or a zip, without believing its names
    trust     whom the verifier trusts
    verify    every check of `evidence verify`

`verify` takes bytes, a trust and a time and touches nothing else; only `keys`, `read` and `trust` read files.
"""
