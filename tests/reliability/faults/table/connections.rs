//! What goes wrong before a request can be sent?

use std::net::Ipv4Addr;
use std::time::Duration;

use super::row;
use crate::faults::certificates::Shown;
use crate::faults::names::Answer;
use crate::faults::peer::Door;
use crate::faults::script::Step;
use crate::faults::trial::{Place, Row};

const UNREACHABLE: &str = "upstream_unreachable";
const TLS: &str = "upstream_tls";

pub fn names() -> Vec<Row> {
    let said = |name: &str, answer| row(name, Place::Names(answer), UNREACHABLE);
    let at =
        |addresses: &[[u8; 4]]| Answer::Addresses(addresses.iter().map(|it| Ipv4Addr::from(*it)).collect());
    let [good, black_hole, refusing] = [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]];
    let reached =
        |name: &str, addresses: &[[u8; 4]]| row(name, Place::Names(at(addresses)), "success").hurried();
    vec![
        said("the name is not known (`NXDOMAIN`)", Answer::Code(3)),
        said("the server of names fails (`SERVFAIL`)", Answer::Code(2)),
        said("the server of names refuses (`REFUSED`)", Answer::Code(5)),
        said("the server of names answers with no address", Answer::Nothing),
        said("the server of names is silent", Answer::Silence).hurried(),
        said("the answer comes too late", Answer::Late(Duration::from_millis(4500))).hurried(),
        row(
            "the answer comes late, but in time",
            Place::Names(Answer::Late(Duration::from_millis(200))),
            "success",
        ),
        said("the server of names answers with something else than DNS", Answer::Garbage).hurried(),
        said("the server of names answers another question", Answer::OtherNumber).hurried(),
        said("the answer is cut, and the server of names refuses TCP", Answer::Truncated),
        said("the name is another name for itself", Answer::Circle),
        said("the only address refuses", at(&[refusing])),
        said("the only address is a black hole", at(&[black_hole])).hurried(),
        reached("the first of two addresses refuses", &[refusing, good]),
        reached("the first of two addresses is a black hole", &[black_hole, good]),
        reached("two of three addresses are dead", &[refusing, black_hole, good]),
    ]
}

pub fn connections() -> Vec<Row> {
    let door = |name: &str, door| row(name, Place::Door(door), UNREACHABLE);
    let peer = |name: &str, steps: &[Step]| row(name, Place::Peer(steps.to_vec()), UNREACHABLE);
    vec![
        door("refused: nobody listens", Door::Refusing),
        door("black hole: a SYN that nobody answers", Door::BlackHole).hurried(),
        door("connected by the kernel, and never accepted", Door::Deaf).hurried(),
        peer("reset when accepted", &[Step::Reset]),
        peer("closed when accepted", &[Step::Cut]),
        peer("accepted, and silent", &[Step::Hang]).hurried(),
        peer("accepted, reads everything and says nothing", &[Step::ReadRaw, Step::Hang]).hurried(),
    ]
}

pub fn certificates() -> Vec<Row> {
    let shown = |name: &str, shown| row(name, Place::Certificate(shown), TLS);
    vec![
        shown("expired", Shown::Expired),
        shown("not yet valid", Shown::NotYetValid),
        shown("for another name", Shown::OtherName),
        shown("a wildcard for another level", Shown::OtherLevel),
        shown("for the address alone", Shown::AddressOnly),
        shown("the name in the subject alone (CN without SAN)", Shown::CommonNameOnly),
        shown("signed by an unknown authority", Shown::UnknownAuthority),
        shown("signed by a namesake of the trusted authority", Shown::NamesakeAuthority),
        shown("signed with its own key", Shown::SelfSigned),
        shown("for clients only", Shown::ForClientsOnly),
        shown("the chain lacks an intermediate", Shown::LacksIntermediate),
        shown("an intermediate is expired", Shown::ExpiredIntermediate),
        shown("signed with the key of another server", Shown::SignedByServer),
        shown("a longer chain than an authority allows", Shown::PathTooLong),
        shown("outside of what an authority may sign for", Shown::OutOfConstraints),
        shown("that of an authority, used as a server's", Shown::AuthorityAsServer),
        shown("its signature was altered", Shown::TamperedSignature),
        shown("its name was altered", Shown::TamperedBody),
        shown("an extension that is critical and unknown", Shown::UnknownCriticalExtension),
        shown("the handshake is signed with another key", Shown::OtherKey),
        shown("signed with SHA-1", Shown::Sha1),
        shown("signed by an authority with an RSA key of 1024 bits", Shown::Rsa1024),
        shown("no certificate but random bytes", Shown::Garbage),
    ]
}

/// A record of TLS: its kind, the version on its label, its content.
fn record(kind: u8, version: [u8; 2], content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, version[0], version[1], length[0], length[1]], content].concat()
}

fn alert(code: u8) -> Vec<u8> {
    record(21, [3, 3], &[2, code])
}

/// A server's hello in TLS 1.`minor - 1`, as one that knows no later version sends it.
fn hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![2, 0, 0, 38, 3, minor];
    hello.extend_from_slice(&[7; 32]);
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend_from_slice(&[0, 0x00, 0x2f, 0]);
    record(22, [3, minor], &hello)
}

pub fn tls() -> Vec<Row> {
    let peer = |name: &str, steps: &[Step], told: &str| row(name, Place::Peer(steps.to_vec()), told);
    let instead = |name: &str, bytes: &[u8]| peer(name, &[Step::ReadRaw, Step::SayRaw(bytes.to_vec())], TLS);
    // What is closed right after the handshake may be noticed before or after the request is on its way.
    const CLOSED: &str = "upstream_unreachable | upstream_truncated";
    vec![
        instead("plain HTTP on the port", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        instead("a banner of SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        instead("an alert instead of a hello (`handshake_failure`)", &alert(40)),
        instead("a server of TLS 1.1 at most, that says so (`protocol_version`)", &alert(70)),
        instead("the name is not served (`unrecognized_name`)", &alert(112)),
        instead("a hello of TLS 1.0", &hello(1)),
        instead("a hello of TLS 1.1", &hello(2)),
        instead("a record longer than TLS allows", &[22, 3, 3, 0xff, 0xff]),
        peer("closed after the client's hello", &[Step::ReadRaw, Step::Cut], UNREACHABLE),
        peer("reset after the client's hello", &[Step::ReadRaw, Step::Reset], UNREACHABLE),
        peer("reset in the middle of the server's flight", &[Step::Flight(50), Step::Reset], UNREACHABLE),
        peer("closed in the middle of the server's flight", &[Step::Flight(50), Step::Cut], UNREACHABLE),
        peer(
            "half closed in the middle of the server's flight",
            &[Step::Flight(50), Step::HalfClose],
            UNREACHABLE,
        ),
        peer("silent in the middle of the server's flight", &[Step::Flight(50), Step::Hang], UNREACHABLE)
            .hurried(),
        peer("a byte at a time", &[Step::DripFlight], UNREACHABLE).hurried(),
        peer(
            "endless messages of a kind that is ignored (`change_cipher_spec`)",
            &[Step::ReadRaw, Step::SayRawEndlessly(record(20, [3, 3], &[1]))],
            TLS,
        ),
        peer("endless warnings", &[Step::ReadRaw, Step::SayRawEndlessly(record(21, [3, 3], &[1, 90]))], TLS),
        peer("reset after the handshake", &[Step::Handshake, Step::Reset], CLOSED),
        peer("closed after the handshake", &[Step::Handshake], CLOSED),
        peer("closed after the handshake, without close_notify", &[Step::Handshake, Step::Cut], CLOSED),
        peer("half closed after the handshake", &[Step::Handshake, Step::HalfClose], CLOSED),
        peer("close_notify after the handshake, and open", &[Step::Handshake, Step::Notify], CLOSED),
        peer(
            "endless new keys after the request",
            &[Step::Handshake, Step::ReadRequest, Step::RenewKeys],
            "upstream_timeout | upstream_truncated",
        ),
        peer(
            "an answer before the end of the handshake",
            &[Step::SayInFlight(crate::faults::OK.into()), Step::ReadRequest],
            UNREACHABLE,
        ),
    ]
}
