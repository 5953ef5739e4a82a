"""Addresses and networks as the Kubernetes API reads them, from text.

1. A network needs a prefix length in digits; host bits are masked off (networking.k8s.io/v1 IPBlock; newer servers refuse them, older took them).
2. IPv4 numbers with leading zeros are decimal, as older servers read them (k8s.io/utils/net, ParseCIDRSloppy).
3. Zones ("fe80::1%eth0") and IPv4-mapped IPv6 blocks are refused: implementations differ on what they match.
"""

import re
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from evidence.cluster.model import IPAddress, IPNetwork

_OCTETS = {str(number): number for number in range(256)}
_LEADING_ZEROS = r"(?<![0-9])0+(?=[0-9])"


@lru_cache(maxsize=1 << 16)
def parse_network(text: str) -> IPNetwork:
    """A CIDR with its host bits masked off. Raises ValueError whose message says what is wrong with it."""
    address, slash, prefix = text.strip().partition("/")
    if not slash:
        raise ValueError(f"it has no prefix length; did you mean {text.strip()}/{128 if ':' in text else 32}?")
    parsed = parse_address(address)
    if not (prefix.isascii() and prefix.isdigit()) or int(prefix) > parsed.max_prefixlen:
        raise ValueError(f"the prefix length must be 0 to {parsed.max_prefixlen}")
    if isinstance(parsed, IPv4Address):
        return IPv4Network((parsed, int(prefix)), strict=False)
    if parsed.ipv4_mapped is not None:
        raise ValueError("an IPv4-mapped IPv6 block means different things to different plugins; write it as IPv4")
    return IPv6Network((parsed, int(prefix)), strict=False)


def parse_address(text: str) -> IPAddress:
    """One address. Raises ValueError whose message says what is wrong with it."""
    try:
        a, b, c, d = text.split(".")
        return IPv4Address(_OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d])
    except (ValueError, KeyError):  # IPv6, leading zeros, or wrong
        return _parse_other_address(text)


def _parse_other_address(text: str) -> IPAddress:
    try:
        if ":" not in text:
            return IPv4Address(text)
        if "%" not in text:
            return IPv6Address(text)
    except ValueError:
        with suppress(ValueError):
            return IPv4Address(re.sub(_LEADING_ZEROS, "", text))
    raise ValueError(f"{text!r} is not an IP address")
