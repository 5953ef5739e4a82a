"""How commands print a JSON document."""

import sys
from typing import Any


def write_json(body: Any) -> None:
    """One document on standard output, indented, as bytes: what the terminal's encoding is does not matter. `body`: what orjson takes."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()
