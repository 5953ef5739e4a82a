"""What the owner declares, as frozen values. `evidence.intent.parse` makes them from the file; tests build them directly."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from evidence.cluster.model import IPNetwork, Protocol
from evidence.cluster.selectors import LabelSelector


class Classification(StrEnum):
    """What a zone is to an assessor. The first three hold regulated data."""

    CDE = "cde"  # PCI DSS: systems that store, process or transmit account data, and everything on their segment
    EPHI = "ephi"  # HIPAA: systems with electronic protected health information
    FEDRAMP_BOUNDARY = "fedramp-boundary"  # FedRAMP: inside the authorisation boundary
    CONNECTED_TO = "connected-to"  # in scope because it may connect to a zone with regulated data
    SECURITY_IMPACTING = "security-impacting"  # in scope because it protects one: DNS, logging, identity, CI
    OUT_OF_SCOPE = "out-of-scope"  # declared to have no connection to regulated data: what segmentation must show
    THIRD_PARTY = "third-party"  # addresses of another organisation that is known and has an owner here
    INTERNET = "internet"  # any other address outside

    __hash__ = str.__hash__  # an Enum's own is Python's, and takes five times as long


SENSITIVE = frozenset({Classification.CDE, Classification.EPHI, Classification.FEDRAMP_BOUNDARY})  # hold regulated data


@dataclass(frozen=True, slots=True)
class System:
    """Whose system this is; None is "not said". `baseline` is the FedRAMP baseline that applies when a report names none."""

    organisation: str = ""
    system: str = ""
    service_provider: bool | None = None  # PCI DSS: some cycles are shorter for service providers
    multi_tenant: bool | None = None  # PCI DSS Appendix A1 applies
    designated_entity: bool | None = None  # PCI DSS Appendix A3 applies: a brand or acquirer has said so
    baseline: str = ""


@dataclass(frozen=True, slots=True)
class ZoneMember:
    """Pods of a zone. `namespace_selector` None and `namespaces` empty: every namespace; `pod_selector` None: all pods there."""

    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    pod_selector: LabelSelector | None = None


@dataclass(frozen=True, slots=True)
class Zone:
    """`members` say which pods lie in it, `cidrs` which addresses outside the cluster."""

    name: str
    classification: Classification
    description: str = ""
    members: tuple[ZoneMember, ...] = ()
    cidrs: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowPort:
    """Destination ports `first` to `last`, both included."""

    protocol: Protocol
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ApprovedFlow:
    """An approved connection from one zone to another. Empty `ports`: every port of every protocol."""

    id: str
    source: str
    destination: str
    ports: tuple[FlowPort, ...]
    justification: str
    owner: str
    review_by: date | None = None


@dataclass(frozen=True, slots=True)
class Waiver:
    """A finding that is accepted until the end of the day `expires`. `subject` is a finding's subject as printed, such as "ZonePair batch -> cde"."""

    id: str
    rule_id: str
    subject: str
    approver: str
    reason: str
    compensating_control: str
    expires: date


@dataclass(frozen=True, slots=True)
class Review:
    """Something that people did and put on record. `kind` is one of REVIEW_KINDS, `reference` where the record lies."""

    id: str
    kind: str
    performed_on: date
    performed_by: str
    covers: str = ""
    reference: str = ""


REVIEW_KINDS = ("rule-set", "segmentation-test", "scope", "risk-analysis", "other")


@dataclass(frozen=True, slots=True)
class Intent:
    """The whole file. `digest` is the SHA-256 of its bytes, `source` where it was read."""

    system: System = System()
    zones: tuple[Zone, ...] = ()
    flows: tuple[ApprovedFlow, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    reviews: tuple[Review, ...] = ()
    digest: str = ""
    source: str = ""
