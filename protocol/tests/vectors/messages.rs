//! Every message on the wire.

use super::{
    hex,
    ledger::{chain, describe, payments},
    params, params_json,
    read::read_message,
    refused,
};
use mvb_protocol::{
    chain::Tip,
    hash::BlockId,
    params::ChainParams,
    wire::{
        Announcement, Endpoint, GetBlocks, GetHeaders, Headers, Hello, NodeId, Refused, Request,
        Response, Status,
    },
};
use serde_json::{Value, json};

fn announcement(params: ChainParams, tip: Tip) -> Announcement {
    Announcement { params, tip }
}

fn tip_json(tip: &Tip) -> Value {
    json!({ "id": tip.id.to_string(), "height": tip.height.0, "work": tip.work.to_string() })
}

pub fn status() -> Status {
    let (chain, _) = chain();
    Status {
        announcement: announcement(params(), chain.end().tip()),
        endpoint: Endpoint {
            node: NodeId(*b"a node's own id."),
            port: 2_607,
        },
    }
}

pub fn hello() -> Hello {
    Hello {
        least_version: 1,
        greatest_version: 1,
        features: 0,
        node: NodeId(*b"a node's own id."),
        announcement: status().announcement,
    }
}

fn valid() -> Vec<(&'static str, &'static str, Vec<u8>, Value)> {
    let (_, blocks) = chain();
    let ids: Vec<BlockId> = blocks.iter().rev().map(|block| block.id()).collect();
    let hexes: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
    let status = status();
    let payment = payments().remove(0);
    let announcement_json =
        json!({ "params": params_json(&params()), "tip": tip_json(&status.announcement.tip) });
    let mut cases = vec![
        (
            "datagram",
            "Status",
            status.to_datagram(),
            json!({
                "announcement": announcement_json, "node": hex(status.endpoint.node.0), "port": 2_607,
            }),
        ),
        (
            "hello",
            "Hello",
            hello().to_bytes(),
            json!({
                "least_version": 1, "greatest_version": 1, "features": 0,
                "node": hex(hello().node.0), "announcement": announcement_json,
            }),
        ),
        (
            "request",
            "GetHeaders",
            Request::GetHeaders(GetHeaders {
                locator: ids.clone(),
                limit: 2_000,
            })
            .to_frame(),
            json!({ "locator": hexes, "limit": 2_000 }),
        ),
        (
            "request",
            "GetBlocks",
            Request::GetBlocks(GetBlocks {
                ids: ids[..2].to_vec(),
            })
            .to_frame(),
            json!({ "ids": hexes[..2] }),
        ),
        (
            "request",
            "OfferTransaction",
            Request::OfferTransaction(Box::new(payment.clone())).to_frame(),
            describe(&payment),
        ),
        (
            "response",
            "Headers",
            Response::Headers(Headers {
                headers: blocks.iter().map(|block| block.header).collect(),
            })
            .to_frame(),
            json!({ "headers": blocks.iter().map(|block| hex(block.header.to_bytes())).collect::<Vec<_>>() }),
        ),
        (
            "response",
            "Headers",
            Response::Headers(Headers {
                headers: Vec::new(),
            })
            .to_frame(),
            json!({ "headers": [] }),
        ),
        (
            "response",
            "Block",
            Response::Block(Box::new(blocks[2].clone())).to_frame(),
            json!({ "id": blocks[2].id().to_string() }),
        ),
        (
            "response",
            "NotFound",
            Response::NotFound(ids[0]).to_frame(),
            json!({ "id": hexes[0] }),
        ),
        (
            "response",
            "Accepted",
            Response::Accepted(payment.id()).to_frame(),
            json!({ "id": payment.id().to_string() }),
        ),
        (
            "response",
            "Refused",
            Response::Refused(Refused::new(payment.id(), "the mempool is full")).to_frame(),
            json!({ "id": payment.id().to_string(), "reason": "the mempool is full" }),
        ),
        (
            "response",
            "Announcement",
            Response::Announcement(Box::new(status.announcement.clone())).to_frame(),
            announcement_json.clone(),
        ),
    ];
    for payment in payments() {
        cases.push((
            "datagram",
            "Transaction",
            payment.to_datagram(),
            describe(&payment),
        ));
    }
    cases
}

pub fn messages() -> Value {
    let valid: Vec<Value> = valid()
        .into_iter()
        .map(|(place, name, bytes, fields)| {
            assert_eq!(
                read_message(place, &bytes, &params()).as_ref(),
                Ok(&bytes),
                "{name}"
            );
            json!({ "read_as": place, "message": name, "bytes": hex(&bytes), "fields": fields })
        })
        .collect();
    let invalid: Vec<Value> = refused::invalid()
        .into_iter()
        .map(|(place, what, bytes)| {
            let reason = read_message(place, &bytes, &params()).expect_err(what);
            json!({ "read_as": place, "what": what, "bytes": hex(&bytes), "reason": reason })
        })
        .collect();
    json!({
        "about": "A datagram and a Hello with their envelope, a request and a response as the payload of a frame, without the length before it. Responses are read on the chain of these parameters.",
        "params": params_json(&params()),
        "genesis": params().genesis_id().to_string(),
        "valid": valid,
        "invalid": invalid,
    })
}
