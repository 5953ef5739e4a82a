"""A store as one file, independent of the database that it was in.

A zip of one `<table>.jsonl` a table and `manifest.json`. A line is the canonical JSON (RFC 8785) of one row, lines in the order that rows.py gives:
the same store gives the same bytes, from SQLite and from Postgres.

- Clusters are named, not numbered. Numbers of snapshots, records, failed runs and acts stay, because packs and people name them.
- Times are ISO 8601 with microseconds, digests hex. Bodies are text: canonical JSON as it was hashed, so that `sha256sum` over it gives the
  digest beside it; of intent files the base64 of the file. A body that retention dropped is null.
- `manifest.json` names the format, the schema, each member with its number of lines and SHA-256, the log's size and root, and the signed checkpoint
  over it where there was a key.

What was taken in is checked as `evidence db check` does, in the transaction that writes it.
"""

FORMAT = "evidence-store/1"
MANIFEST = "manifest.json"
