"""DNS messages of the lab's name server. Loaded when there is first one to read: the library costs some 6 MiB."""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import msgspec

from tenantry.domains.questions import Question

_LARGEST = 65_535
_LEAST_DATAGRAM = 512
_MOST_DATAGRAM = 1232  # passes any path without fragments (DNS flag day 2020)


class Query(msgspec.Struct, frozen=True):
    """A question as it came; `name` is lower case, without the dot at its end."""

    message: dns.message.Message
    name: str
    type: str


def read(wire: bytes) -> Query | None:
    """Return the question of a message; None for what is no question that can be answered."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    if message.flags & dns.flags.QR or message.opcode() != dns.opcode.QUERY or len(message.question) != 1:
        return None
    asked = message.question[0]
    if asked.rdclass != dns.rdataclass.IN:
        return None
    name = asked.name.to_text(omit_final_dot=True).lower()
    return Query(message, name, dns.rdatatype.to_text(asked.rdtype))


def write(query: Query, answered: Question, ending: str, *, datagram: bool) -> bytes:
    """Return the message that says what was `answered`; `ending` is put behind the names of the answer.

    One that does not fit into a datagram is cut off there, so that the question comes again over TCP.
    """
    message = dns.message.make_response(query.message, recursion_available=True, our_payload=_MOST_DATAGRAM)
    message.flags |= dns.flags.AA
    message.set_rcode(dns.rcode.from_text(answered.rcode or "SERVFAIL"))
    for answer in answered.answers:
        raw = answer.raw
        if answer.type == "CNAME" and ending:
            raw = f"{raw.removesuffix('.')}{ending}."
        made = dns.rrset.from_text(f"{answer.name}{ending}.", answer.ttl, "IN", answer.type, raw)
        rrset = message.find_rrset(message.answer, made.name, made.rdclass, made.rdtype, create=True)
        for record in made:
            rrset.add(record, made.ttl)
    wire: bytes = message.to_wire(max_size=_LARGEST)
    if not datagram or len(wire) <= min(max(query.message.payload, _LEAST_DATAGRAM), _MOST_DATAGRAM):
        return wire
    cut = dns.message.make_response(query.message, recursion_available=True, our_payload=_MOST_DATAGRAM)
    cut.flags |= dns.flags.TC
    return cut.to_wire()
