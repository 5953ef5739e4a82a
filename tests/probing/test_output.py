"""What the probe writes, read back; and a log that holds other words, too."""

from evidence.probe.model import Attempt, Seen, Tried
from evidence.probing.output import read_output


def test_every_kind_of_line_is_read() -> None:
    told = read_output(
        b'{"kind":"serving","failed":{"SCTP/3868":"protocol not supported"}}\n'
        b'{"kind":"tried","id":7,"attempts":2,"first":{"seen":"open","at":1,"took":2},"last":{"seen":"rejected","at":300,"took":0,'
        b'"detail":"no route to host","icmp":{"from":"10.0.0.254","type":3,"code":13}}}\n'
        b'{"kind":"reached","from":"10.0.0.254","ms":548}\n'
        b'{"kind":"done","ms":6623}\n'
    )
    assert told.not_served == {"SCTP/3868": "protocol not supported"}
    assert told.reached_from == "10.0.0.254"
    last = Attempt(Seen.REJECTED, 300, 0, "no route to host", "ICMP type 3 code 13 from 10.0.0.254")
    assert told.tried == {7: Tried(2, Attempt(Seen.OPEN, 1, 2), last)}


def test_what_cannot_be_understood_is_passed_over() -> None:
    told = read_output(
        b'standard_init_linux.go: exec\n[]\n{"kind":"tried","id":1}\n{"kind":"tried","id":"x","attempts":1,"first":{},"last":{}}\n'
        b'{"kind":"tried","id":2,"attempts":1,"first":{"seen":"odd","at":0,"took":0},"last":{"seen":"odd","at":0,"took":0}}\n\xff\xfe'
    )
    assert told.tried == {}


def test_a_control_port_that_was_taken_is_why_the_source_failed() -> None:
    assert read_output(b'{"kind":"failed","detail":"address already in use"}').failed == "address already in use"
