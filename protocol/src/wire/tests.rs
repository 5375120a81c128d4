//! The limits of messages, exactly where they lie.

use super::*;
use crate::{
    address::Address,
    amount::Amount,
    block::Reward,
    hash::ContentRoot,
    numbers::{Height, Timestamp},
    params::{MAX_BLOCK_BYTES_LEAST, MAX_BLOCK_BYTES_LIMIT},
    target::CompactTarget,
};

fn announcement() -> Announcement {
    let params = ChainParams::default();
    let tip = Tip::genesis(params.genesis_id());
    Announcement { params, tip }
}

fn header() -> Header {
    Header {
        previous: BlockId([1; 32]),
        content_root: ContentRoot([2; 32]),
        version: u32::MAX,
        target: CompactTarget(u32::MAX),
        height: Height(u64::MAX),
        timestamp: Timestamp(u64::MAX),
        nonce: u64::MAX,
    }
}

#[test]
fn what_is_larger_than_its_kind_may_be_is_refused_before_it_is_read() {
    let params = ChainParams::default();
    let is_too_large = |error: Option<WireError>, got, most| {
        let too_large = WireError::TooLarge { got, most };
        error.expect("zeros are no message") == too_large
    };
    for more in 0..3 {
        let most = MAX_STATUS_BYTES;
        let bytes = vec![0; most + more];
        let datagram = Datagram::from_bytes(&bytes).err();
        assert_eq!(is_too_large(datagram, bytes.len(), most), more > 0);
        let hello = Hello::from_bytes(&bytes).err();
        assert_eq!(is_too_large(hello, bytes.len(), most), more > 0);

        let most = MAX_REQUEST_BYTES;
        let bytes = vec![0; most + more];
        let request = Request::from_frame(&bytes).err();
        assert_eq!(is_too_large(request, bytes.len(), most), more > 0);

        let most = max_response_bytes(&params);
        let bytes = vec![0; most + more];
        let response = Response::from_frame(&bytes, &params).err();
        assert_eq!(is_too_large(response, bytes.len(), most), more > 0);
    }
}

#[test]
fn an_answer_may_be_a_page_of_headers_or_a_block_and_a_quarter() {
    let most = |max_block_bytes| {
        max_response_bytes(&ChainParams {
            max_block_bytes,
            ..ChainParams::default()
        })
    };
    assert_eq!(most(MAX_BLOCK_BYTES_LIMIT), (10 << 20) + 1_024);
    assert_eq!(most(1 << 20), (1 << 20) + (1 << 18) + 1_024);
    assert_eq!(most(MAX_BLOCK_BYTES_LEAST), 196_064);
    let headers = vec![header(); MAX_HEADERS];
    let page = Response::Headers(Headers { headers }).to_frame();
    assert!(page.len() <= most(MAX_BLOCK_BYTES_LEAST));
}

#[test]
fn a_status_may_announce_any_port_but_those_of_system_services() {
    let read = |port| {
        let status = Status {
            announcement: announcement(),
            endpoint: Endpoint {
                node: NodeId([3; 16]),
                port,
            },
        };
        Datagram::from_bytes(&status.to_datagram())
    };
    for port in [MIN_ANNOUNCED_PORT, u16::MAX] {
        assert!(read(port).is_ok(), "{port}");
    }
    for port in [0, MIN_ANNOUNCED_PORT - 1] {
        assert!(matches!(read(port), Err(WireError::Range { .. })), "{port}");
    }
}

#[test]
fn a_peer_is_compatible_if_this_version_lies_between_its_least_and_greatest() {
    for (least, greatest, is_compatible) in [
        (WIRE_VERSION, WIRE_VERSION, true),
        (0, WIRE_VERSION, true),
        (WIRE_VERSION, u8::MAX, true),
        (0, WIRE_VERSION - 1, false),
        (WIRE_VERSION + 1, u8::MAX, false),
    ] {
        let hello = Hello {
            least_version: least,
            greatest_version: greatest,
            features: 0,
            node: NodeId([3; 16]),
            announcement: announcement(),
        };
        let hello = Hello::from_bytes(&hello.to_bytes()).unwrap();
        assert_eq!(
            hello.is_compatible(),
            is_compatible,
            "{least} to {greatest}"
        );
    }
}

#[test]
fn an_encoded_block_is_framed_like_the_block_itself() {
    let block = Block {
        header: header(),
        transactions: Vec::new(),
        reward: Reward {
            to: Address([4; 32]),
            amount: Amount::from_units(5),
            extra_nonce: 6,
        },
    };
    let framed = Response::encoded_block_frame(&codec::encode(&block));
    assert_eq!(framed, Response::Block(Box::new(block)).to_frame());
}

#[test]
fn a_refusal_may_be_two_hundred_bytes_long() {
    let params = ChainParams::default();
    for more in 0..3 {
        let refused = Refused {
            id: TxId([1; 32]),
            reason: "a".repeat(MAX_TEXT_BYTES + more),
        };
        let frame = Response::Refused(refused).to_frame();
        let is_read = Response::from_frame(&frame, &params).is_ok();
        assert_eq!(is_read, more == 0, "{more} bytes more");
    }
}
