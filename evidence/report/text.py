"""Text from a cluster made safe to look at: what cannot be seen is spelled out.

Names, labels, annotations and declared prose may hold control characters, invisible characters and overrides of the writing
direction, which make a reader see something else than what is there. They become ⟨U+202E⟩ in every format meant for people.
"""

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LAYOUT = frozenset("\n\t")


def code_point(character: str) -> str:
    """ "⟨U+202E⟩"."""
    return f"⟨U+{ord(character):04X}⟩"


def visible(text: str) -> str:
    """The text with every control, format, surrogate, private and unassigned character spelled out; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        code_point(character) if character not in _LAYOUT and unicodedata.category(character) in _UNSEEN else character
        for character in text
    )
