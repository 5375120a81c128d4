//! Everything that comes over the network: datagrams, the Hello, both directions of a
//! session, and the frames they travel in.

use crate::{Seed, Target, Verdict, accepted, beyond, bytes::Bytes, ledger, refused};
use futures::executor::block_on;
use mvb_actors::frames::{FrameError, read_frame, write_frame};
use mvb_protocol::{
    chain::Tip,
    codec,
    hash::{BlockId, TxId},
    numbers::Height,
    params::ChainParams,
    target::Work,
    wire::{
        Announcement, Datagram, Endpoint, GetBlocks, GetHeaders, Headers, Hello, MAX_REQUEST_BYTES,
        MAX_STATUS_BYTES, MAX_TEXT_BYTES, MIN_ANNOUNCED_PORT, MessageType, NodeId, Refused,
        Request, Response, Status, max_response_bytes,
    },
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, ReadBuf};

pub(crate) const DATAGRAM: Target = Target {
    name: "datagram",
    run: datagram,
    seeds: datagram_seeds,
    tokens: &[b"mvb1", b"\xc4\x20", b"\xcd\x04\x00", b"\xcf"],
    few: 3_000,
};

pub(crate) const HELLO: Target = Target {
    name: "hello",
    run: hello,
    seeds: hello_seeds,
    tokens: &[b"mvb1\x01\x10", b"\xc4\x10", b"\xcf"],
    few: 3_000,
};

pub(crate) const REQUEST: Target = Target {
    name: "request",
    run: request,
    seeds: request_seeds,
    tokens: &[
        b"\xc4\x20",
        b"\x92\x90",
        b"\xcd\x07\xd0",
        b"\x91\xdc\x00\x80",
    ],
    few: 2_000,
};

pub(crate) const RESPONSE: Target = Target {
    name: "response",
    run: response,
    seeds: response_seeds,
    tokens: &[b"\xc4\x60", b"\xc4\x20", b"\x91\xdc", b"\xd9\xc8"],
    few: 2_000,
};

pub(crate) const FRAMES: Target = Target {
    name: "frames",
    run: frames,
    seeds: frames_seeds,
    tokens: &[b"\0\0\0\x01", b"\0\0\x20\x00", b"\xff\xff\xff\xff"],
    few: 3_000,
};

fn datagram(data: &[u8]) -> Verdict {
    match Datagram::from_bytes(data) {
        Ok(Datagram::Status(status)) => {
            assert_eq!(status.to_datagram(), data);
            assert!(status.endpoint.port >= MIN_ANNOUNCED_PORT);
            assert_eq!(status.announcement.params.validate(), Ok(()));
        }
        Ok(Datagram::Transaction(transaction)) => assert_eq!(transaction.to_datagram(), data),
        Err(error) => return refused(error),
    }
    assert!(data.len() <= MAX_STATUS_BYTES);
    Verdict::Accepted
}

fn hello(data: &[u8]) -> Verdict {
    match Hello::from_bytes(data) {
        Ok(hello) => {
            assert_eq!(hello.to_bytes(), data);
            assert!(data.len() <= MAX_STATUS_BYTES);
            assert_eq!(hello.announcement.params.validate(), Ok(()));
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

fn request(data: &[u8]) -> Verdict {
    match Request::from_frame(data) {
        Ok(request) => {
            assert_eq!(request.to_frame(), data);
            assert!(data.len() <= MAX_REQUEST_BYTES);
            match request {
                Request::GetHeaders(asked) => {
                    assert!(asked.locator.len() <= 64 && (1..=2_000).contains(&asked.limit));
                }
                Request::GetBlocks(asked) => assert!(asked.ids.len() <= 128),
                Request::OfferTransaction(_) => {}
            }
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

fn response(data: &[u8]) -> Verdict {
    let params = ledger::params();
    match Response::from_frame(data, &params) {
        Ok(response) => {
            assert_eq!(response.to_frame(), data);
            assert!(data.len() <= max_response_bytes(&params));
            match response {
                Response::Headers(answer) => assert!(answer.headers.len() <= 2_000),
                Response::Block(block) => assert!(block.transactions.len() <= 6_144),
                Response::Refused(refusal) => {
                    assert!(refusal.reason.len() <= MAX_TEXT_BYTES);
                    assert!(!refusal.reason.chars().any(char::is_control));
                }
                _ => {}
            }
            Verdict::Accepted
        }
        Err(error) => refused(error),
    }
}

/// A stream that gives a few bytes at a time.
struct Trickle<'a> {
    rest: &'a [u8],
    step: usize,
}

impl AsyncRead for Trickle<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let step = self.step.min(self.rest.len()).min(buffer.remaining());
        let (now, rest) = self.rest.split_at(step);
        buffer.put_slice(now);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// Two bytes say how long a frame may be, one how the stream trickles; the rest is the stream.
fn frames(data: &[u8]) -> Verdict {
    let mut choices = Bytes(data);
    let most = choices.below(1 << 14);
    let step = 1 + choices.below(64);
    let bytes = choices.0;
    let mut stream = Trickle { rest: bytes, step };
    let mut again = Vec::new();
    let end = loop {
        match block_on(read_frame(&mut stream, most)) {
            Ok(payload) => {
                assert!((1..=most).contains(&payload.len()));
                block_on(write_frame(&mut again, &payload)).expect("memory takes everything");
                assert!(bytes.starts_with(&again), "not the frame that was there");
            }
            Err(error) => break error,
        }
    };
    match end {
        FrameError::Closed => {
            assert_eq!(again, bytes, "something was lost");
            Verdict::Accepted
        }
        error => refused(error),
    }
}

fn announcement(params: ChainParams) -> Announcement {
    Announcement {
        tip: Tip {
            id: BlockId([7; 32]),
            height: Height(300_000),
            work: Work::from_be_bytes([0x0f; 32]),
        },
        params,
    }
}

fn status(params: ChainParams, port: u16) -> Vec<u8> {
    let endpoint = Endpoint {
        node: NodeId([5; 16]),
        port,
    };
    Status {
        announcement: announcement(params),
        endpoint,
    }
    .to_datagram()
}

fn datagram_seeds() -> Vec<Seed> {
    let good = status(ledger::params(), 2_607);
    let mut seeds = vec![
        accepted(good.clone()),
        accepted(status(ledger::params(), MIN_ANNOUNCED_PORT)),
        beyond(status(ledger::params(), MIN_ANNOUNCED_PORT - 1)),
        accepted(status(ledger::params(), u16::MAX)),
        beyond([&good[..], &[0]].concat()),
        beyond(good[..good.len() - 1].to_vec()),
        beyond(good[..38].to_vec()),
        beyond(good[..37].to_vec()),
        beyond(vec![b'm'; MAX_STATUS_BYTES]),
        beyond(vec![b'm'; MAX_STATUS_BYTES + 1]),
        beyond(Vec::new()),
    ];
    // Another magic, version and type.
    for at in [0, 4, 5] {
        let mut bad = good.clone();
        bad[at] = 0x63;
        seeds.push(beyond(bad));
    }
    for (params, verdict) in ledger::params_at_the_limits() {
        seeds.push(Seed {
            bytes: status(params, 2_607),
            verdict,
        });
    }
    for transaction in ledger::payments() {
        seeds.push(accepted(transaction.to_datagram()));
    }
    seeds
}

fn hello_seeds() -> Vec<Seed> {
    let hello = |params, least_version, greatest_version, features| {
        Hello {
            least_version,
            greatest_version,
            features,
            node: NodeId([9; 16]),
            announcement: announcement(params),
        }
        .to_bytes()
    };
    let good = hello(ledger::params(), 1, 1, 0);
    let mut seeds = vec![
        accepted(good.clone()),
        accepted(hello(ledger::params(), 0, 255, u64::MAX)),
        accepted(hello(ledger::params(), 9, 2, 1)),
        beyond([&good[..], &[0xc0]].concat()),
        beyond(status(ledger::params(), 2_607)),
    ];
    for (params, verdict) in ledger::params_at_the_limits() {
        seeds.push(Seed {
            bytes: hello(params, 1, 1, 0),
            verdict,
        });
    }
    seeds
}

fn ids(count: usize) -> Vec<BlockId> {
    (0..count).map(|i| BlockId([i as u8; 32])).collect()
}

fn request_seeds() -> Vec<Seed> {
    let headers = |count, limit| {
        let locator = ids(count);
        Request::GetHeaders(GetHeaders { locator, limit }).to_frame()
    };
    let blocks = |count| Request::GetBlocks(GetBlocks { ids: ids(count) }).to_frame();
    let mut seeds = vec![
        accepted(headers(0, 1)),
        accepted(headers(64, 2_000)),
        beyond(headers(65, 2_000)),
        beyond(headers(64, 2_001)),
        beyond(headers(64, 0)),
        accepted(blocks(0)),
        accepted(blocks(128)),
        beyond(blocks(129)),
        beyond(vec![MessageType::GetMempool as u8]),
        beyond(vec![MessageType::Headers as u8, 0x91, 0x90]),
        beyond(vec![]),
        beyond(vec![17; MAX_REQUEST_BYTES]),
        beyond(vec![17; MAX_REQUEST_BYTES + 1]),
        // A length of 2^32 − 1.
        beyond(b"\x13\x91\xdd\xff\xff\xff\xff".to_vec()),
    ];
    for transaction in ledger::payments() {
        seeds.push(accepted(
            Request::OfferTransaction(Box::new(transaction)).to_frame(),
        ));
    }
    seeds
}

fn response_seeds() -> Vec<Seed> {
    let headers = |count: usize| {
        let headers = vec![ledger::block(0).header; count];
        Response::Headers(Headers { headers }).to_frame()
    };
    let reason = |reason: String| {
        Response::Refused(Refused {
            id: TxId([3; 32]),
            reason,
        })
        .to_frame()
    };
    let other = ChainParams {
        network_name: "another".to_owned(),
        ..ledger::params()
    };
    let told = |params| Response::Announcement(Box::new(announcement(params))).to_frame();
    let most = max_response_bytes(&ledger::params());
    vec![
        accepted(headers(0)),
        accepted(headers(3)),
        accepted(headers(2_000)),
        beyond(headers(2_001)),
        accepted(Response::Block(Box::new(ledger::block(0))).to_frame()),
        accepted(Response::Block(Box::new(ledger::block(3))).to_frame()),
        accepted(Response::NotFound(BlockId([1; 32])).to_frame()),
        accepted(Response::Accepted(TxId([2; 32])).to_frame()),
        accepted(reason(String::new())),
        accepted(reason("é".repeat(MAX_TEXT_BYTES / 2))),
        beyond(reason("x".repeat(MAX_TEXT_BYTES + 1))),
        beyond(reason("\u{1b}[2J".to_owned())),
        accepted(told(ledger::params())),
        beyond(told(other)),
        beyond(vec![20; most]),
        beyond(vec![20; most + 1]),
        beyond(codec::encode(&ledger::block(1))),
        // More payments than any block's weight allows, told by their number alone.
        beyond([&[20, 0x93, 0xc4, 96][..], &[1; 96], &[0xdc, 0x18, 0x01]].concat()),
    ]
}

fn frames_seeds() -> Vec<Seed> {
    let stream = |most: u16, frames: &[&[u8]]| {
        let mut bytes = most.to_be_bytes().to_vec();
        bytes.extend([0, 5]);
        for frame in frames {
            bytes.extend((frame.len() as u32).to_be_bytes());
            bytes.extend_from_slice(frame);
        }
        bytes
    };
    let mut cut = stream(100, &[b"whole", b"cut off"]);
    cut.pop();
    vec![
        accepted(stream(0, &[])),
        accepted(stream(3, &[b"abc", b"d"])),
        beyond(stream(2, &[b"abc"])),
        accepted(stream(1_000, &[&[7; 1_000], &[8; 999]])),
        beyond(stream(999, &[&[7; 1_000]])),
        beyond(stream(9, &[b""])),
        beyond(cut),
        beyond([&stream(1_000, &[])[..], b"\xff\xff\xff\xff"].concat()),
    ]
}
