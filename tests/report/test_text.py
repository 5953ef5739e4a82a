"""Text from a cluster, made safe to look at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.report.text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("app\u202exml.tob", "app⟨U+202E⟩xml.tob"),  # writes the rest from right to left
        ("a\u200bb", "a⟨U+200B⟩b"),  # no width
        ("a\x1b[31mb", "a⟨U+001B⟩[31mb"),  # colours a terminal
        ("a\x00b", "a⟨U+0000⟩b"),
        ("a\u2028b", "a⟨U+2028⟩b"),  # a line end for some readers only
        ("a\ud800b", "a⟨U+D800⟩b"),  # half a character
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Žluťoučký kůň 株式会社", "Žluťoučký kůň 株式会社"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters()))
def test_law_visible_text_stays_as_it_is_and_can_be_written_as_utf_8(text: str) -> None:
    once = visible(text)

    assert visible(once) == once
    once.encode()
