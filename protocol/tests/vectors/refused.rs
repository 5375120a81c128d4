//! Messages that are refused, each for one reason.

use super::{
    chain::secret,
    ledger::{chain, payments},
    messages::{hello, status},
};
use mvb_protocol::{
    codec::encode,
    hash::BlockId,
    keys::Curve,
    wire::{Envelope, GetBlocks, GetHeaders, MessageType, Refused, Request, Response},
};

/// Replaces the first occurrence, which must be there.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("the bytes contain what is to be replaced");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

pub fn invalid() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let status = status();
    let datagram = status.to_datagram();
    let payment = payments().remove(0).to_datagram();
    let change = |at: usize, to: u8| {
        let mut bytes = datagram.clone();
        bytes[at] = to;
        bytes
    };
    let body = &datagram[38..];
    let with_body = |body: Vec<u8>| [&datagram[..38], &body].concat();
    let mut low_port = status.clone();
    low_port.endpoint.port = 1_023;
    let mut bad_params = status.clone();
    bad_params.announcement.params.difficulty = 65;
    let mut hard = status.clone();
    hard.announcement.params.difficulty = 9;
    let other_genesis = Envelope {
        kind: MessageType::Transaction,
        genesis: hard.announcement.params.genesis_id(),
    };
    let id = |byte: u8| BlockId([byte; 32]);
    let frame = |kind: MessageType, payload: &[u8]| [&[kind as u8], payload].concat();
    let name = secret(Curve::P256, "unused").public_key();
    vec![
        ("datagram", "nothing", Vec::new()),
        ("datagram", "an envelope cut short", datagram[..37].to_vec()),
        ("datagram", "another magic", change(3, b'2')),
        ("datagram", "wire version 2", change(4, 2)),
        ("datagram", "an unknown type", change(5, 3)),
        ("datagram", "a type that is no datagram's", change(5, 17)),
        ("datagram", "the other datagram's type", change(5, 2)),
        (
            "datagram",
            "another genesis id than its parameters'",
            change(6, datagram[6] ^ 1),
        ),
        (
            "datagram",
            "513 bytes",
            [datagram.clone(), vec![0; 513 - datagram.len()]].concat(),
        ),
        (
            "datagram",
            "an envelope without a payload",
            datagram[..38].to_vec(),
        ),
        (
            "datagram",
            "cut short by one byte",
            datagram[..datagram.len() - 1].to_vec(),
        ),
        (
            "datagram",
            "one byte too many",
            [datagram.as_slice(), &[0xc0]].concat(),
        ),
        ("datagram", "nil for the payload", with_body(vec![0xc0])),
        (
            "datagram",
            "an array of one element too few",
            with_body([&[0x91], &body[1..]].concat()),
        ),
        (
            "datagram",
            "an array of one element too many",
            with_body([&[0x93], &body[1..], &[0xc0]].concat()),
        ),
        (
            "datagram",
            "array 16 where fixarray does",
            with_body([&[0xdc, 0, 2], &body[1..]].concat()),
        ),
        (
            "datagram",
            "array 32 with 2^32 − 1 elements",
            with_body([&[0xdd, 0xff, 0xff, 0xff, 0xff], &body[1..]].concat()),
        ),
        (
            "datagram",
            "a map where an array must be",
            with_body(
                [
                    &[0x82, 0xac],
                    &b"announcement"[..],
                    &body[1..body.len() - 22],
                    &[0xa8],
                    b"endpoint",
                    &body[body.len() - 22..],
                ]
                .concat(),
            ),
        ),
        (
            "datagram",
            "a port of 32 bits",
            replace(&datagram, &[0xcd, 0x0a, 0x2f], &[0xce, 0, 0, 0x0a, 0x2f]),
        ),
        (
            "datagram",
            "a signed port",
            replace(&datagram, &[0xcd, 0x0a, 0x2f], &[0xd1, 0x0a, 0x2f]),
        ),
        (
            "datagram",
            "a port as a float",
            replace(&datagram, &[0xcd, 0x0a, 0x2f], &[0xca, 0x45, 0x22, 0xf0, 0]),
        ),
        (
            "datagram",
            "a port as an ext",
            replace(&datagram, &[0xcd, 0x0a, 0x2f], &[0xd5, 1, 0x0a, 0x2f]),
        ),
        ("datagram", "a port below 1024", low_port.to_datagram()),
        (
            "datagram",
            "the node id as str",
            replace(&datagram, &[0xc4, 16, b'a'], &[0xb0, b'a']),
        ),
        (
            "datagram",
            "the node id as bin 16",
            replace(&datagram, &[0xc4, 16, b'a'], &[0xc5, 0, 16, b'a']),
        ),
        (
            "datagram",
            "the node id as bin 32 of 2^32 − 1 bytes",
            replace(
                &datagram,
                &[0xc4, 16, b'a'],
                &[0xc6, 0xff, 0xff, 0xff, 0xff, b'a'],
            ),
        ),
        (
            "datagram",
            "a node id of 15 bytes",
            replace(
                &datagram,
                b"\xc4\x10a node's own id.",
                b"\xc4\x0fa node's own id",
            ),
        ),
        (
            "datagram",
            "the network's name as bin",
            replace(&datagram, b"\xa7vectors", b"\xc4\x07vectors"),
        ),
        (
            "datagram",
            "the network's name as str 8",
            replace(&datagram, b"\xa7vectors", b"\xd9\x07vectors"),
        ),
        (
            "datagram",
            "a network's name that is no UTF-8",
            replace(&datagram, b"\xa7vectors", b"\xa7\xffectors"),
        ),
        (
            "datagram",
            "parameters no chain can have",
            bad_params.to_datagram(),
        ),
        (
            "datagram",
            "seventeen arrays in each other, under a name that is unknown",
            with_body([b"\x81\xa1x".as_slice(), &[0x91; 17], &[0xc0]].concat()),
        ),
        (
            "datagram",
            "a payment of another network than its envelope's",
            [&other_genesis.to_bytes()[..], &payment[38..]].concat(),
        ),
        (
            "datagram",
            "a payment's key with the tag of an uncompressed one",
            replace(
                &payment,
                &[0xc4, 33, payments()[0].key.as_bytes()[0]],
                &[0xc4, 33, 4],
            ),
        ),
        (
            "datagram",
            "a payment's key of 32 bytes",
            replace(
                &payment,
                &[0xc4, 33, payments()[0].key.as_bytes()[0]],
                &[0xc4, 32],
            ),
        ),
        ("hello", "a Status", datagram.clone()),
        (
            "hello",
            "a version above 255",
            replace(
                &hello().to_bytes(),
                &[0x95, 1, 1, 0],
                &[0x95, 1, 0xcd, 1, 0, 0],
            ),
        ),
        ("request", "nothing", Vec::new()),
        ("request", "an unknown type", vec![99]),
        ("request", "GetMempool, which is reserved", vec![25]),
        (
            "request",
            "a response",
            Response::NotFound(id(1)).to_frame(),
        ),
        (
            "request",
            "a limit of 0",
            Request::GetHeaders(GetHeaders {
                locator: Vec::new(),
                limit: 0,
            })
            .to_frame(),
        ),
        (
            "request",
            "a limit of 2,001",
            Request::GetHeaders(GetHeaders {
                locator: Vec::new(),
                limit: 2_001,
            })
            .to_frame(),
        ),
        (
            "request",
            "a locator of 65 ids",
            Request::GetHeaders(GetHeaders {
                locator: vec![id(1); 65],
                limit: 1,
            })
            .to_frame(),
        ),
        (
            "request",
            "129 ids",
            Request::GetBlocks(GetBlocks {
                ids: vec![id(1); 129],
            })
            .to_frame(),
        ),
        (
            "request",
            "2^32 − 1 ids announced",
            frame(
                MessageType::GetBlocks,
                &[0x91, 0xdd, 0xff, 0xff, 0xff, 0xff],
            ),
        ),
        (
            "request",
            "an id of 33 bytes",
            frame(
                MessageType::GetBlocks,
                &[&[0x91, 0x91, 0xc4, 33], name.as_bytes()].concat(),
            ),
        ),
        (
            "response",
            "a request",
            Request::GetBlocks(GetBlocks { ids: vec![id(1)] }).to_frame(),
        ),
        (
            "response",
            "2,001 headers announced",
            frame(MessageType::Headers, &[0x91, 0xdc, 0x07, 0xd1]),
        ),
        (
            "response",
            "a header of 95 bytes",
            frame(
                MessageType::Headers,
                &[&[0x91, 0x91, 0xc4, 95][..], &[0; 95]].concat(),
            ),
        ),
        ("response", "6,145 payments announced", {
            let block = encode(&chain().1[0]);
            frame(
                MessageType::Block,
                &[&block[..99], &[0xdc, 0x18, 0x01]].concat(),
            )
        }),
        (
            "response",
            "a reason of 201 bytes",
            Response::Refused(Refused {
                id: payments()[0].id(),
                reason: "x".repeat(201),
            })
            .to_frame(),
        ),
        (
            "response",
            "a reason with a control character",
            Response::Refused(Refused {
                id: payments()[0].id(),
                reason: "\u{1b}[2J".to_owned(),
            })
            .to_frame(),
        ),
        (
            "response",
            "an announcement of another network",
            Response::Announcement(Box::new(hard.announcement.clone())).to_frame(),
        ),
    ]
}
