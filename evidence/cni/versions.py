"""Versions as image tags and kubelets give them, compared by their numbers."""

import re
from functools import lru_cache

Version = tuple[int, ...]

_PARTS = re.compile(r"^v?(\d+(?:\.\d+){0,2})(.*)$")
_UNFINISHED = re.compile(r"^[-.+]?(\d+\.)?(alpha|beta|rc|pre|dev|master|main|latest)", re.IGNORECASE)


def parse_version(text: str) -> Version | None:
    """Numbers of "v1.16.3-eksbuild.1" or "v20240813-c6f155d6"; None for names (latest, master) and for unfinished versions (-rc.1, -0.dev).

    What follows the numbers (a distribution's build) is ignored.
    """
    match = _PARTS.match(text)
    if match is None or _UNFINISHED.match(match[2]):
        return None
    return tuple(int(part) for part in match[1].split("."))


@lru_cache(maxsize=1 << 12)  # every plugin's signs are looked for in the same few images
def split_image(image: str) -> tuple[str, str]:
    """Repository and tag of an image reference; the tag is "" when there is none or only a digest."""
    name = image.partition("@")[0]
    head, separator, tail = name.rpartition(":")
    if not separator or "/" in tail:  # the colon is a registry's port
        return name, ""
    return head, tail
