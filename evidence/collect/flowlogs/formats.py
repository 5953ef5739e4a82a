"""The formats by name. A new one is a file beside its siblings and a line here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from evidence.collect.flowlogs import antrea, aws_vpc_cni, calico, hubble, netfilter, ovn
from evidence.observe.sighting import Line


@dataclass(frozen=True, slots=True)
class Format:
    """`notes`: what such a log lacks by its nature. `read`: what one line says, ValueError for one that cannot be read."""

    name: str
    title: str
    notes: tuple[str, ...]
    read: Callable[[bytes], Line]


def formats(
    now: datetime, allowed_prefixes: Sequence[str] = (), denied_prefixes: Sequence[str] = ()
) -> Mapping[str, Format]:
    """All of them. `now` and the prefixes are for netfilter's lines, which tell neither the year nor the outcome."""
    read = partial(netfilter.read, now=now, allowed=allowed_prefixes, denied=denied_prefixes)
    found = [Format(netfilter.NAME, netfilter.TITLE, netfilter.NOTES, read)]
    found += [
        Format(module.NAME, module.TITLE, module.NOTES, module.read)
        for module in (hubble, calico, ovn, aws_vpc_cni, antrea)
    ]
    return {each.name: each for each in found}
