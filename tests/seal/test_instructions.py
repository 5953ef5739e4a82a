"""The auditor's page and the text in each pack give the same commands."""

import re

from evidence.seal.instructions import how_to_verify
from evidence.seal.keys import Signer
from tests.conftest import ROOT
from tests.seal.builders import SIGNED_AT, SUMMARY

TOOLS = ("sha256sum", "find", "cut", "openssl", "work=")


def commands(text: str) -> list[str]:
    """Indented lines that start with a tool, with those that continue them."""
    return re.findall(rf"^    ((?:{'|'.join(TOOLS)})(?:.*\\\n)*.*)$", text, re.MULTILINE)


def test_every_shell_command_of_the_auditors_page_is_the_one_in_the_pack(signer: Signer) -> None:
    page = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
    text = how_to_verify(signer, SIGNED_AT, "0" * 32, SUMMARY).decode()
    assert commands(page) == commands(text)
    assert len(commands(page)) == 9
