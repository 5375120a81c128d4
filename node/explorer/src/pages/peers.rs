//! The page of the peers: who is heard, what they claim, and what was turned away.

use super::layout::{Live, Place, ago, block_link, empty, facts, heading, page, table};
use crate::{
    problem::Problem,
    reply::{Reply, Request},
};
use maud::{Markup, html};
use mvb_actors::view::PeerView;
use mvb_node::{snapshot::NodeSnapshot, words};
use mvb_protocol::numbers::Timestamp;
use std::net::SocketAddr;

/// The page.
///
/// # Errors
/// Never; it is a route like any other.
pub fn peers(request: &Request) -> Result<Reply, Problem> {
    let now = request.node.now();
    let main = html! {
        (heading("Peers", html! {
            "Miners heard lately. What they claim counts only once its work was shown."
        }))
        div #peers data-live {
            @if let Some(other) = &now.peers.other_network {
                p .notice { "Ignored: " (other) }
            }
            @if now.peers.peers.is_empty() {
                (empty("Nobody is heard", html! {
                    "A miner on this network, or on this machine, shows up here within a status interval."
                }))
            } @else {
                (rows(&now, request.now))
            }
        }
        section aria-labelledby="own" {
            header { h2 #own { "This node" } }
            div #counts data-live { (own(&now)) }
        }
    };
    Ok(Reply::page(page(
        &request.node,
        Place::Peers,
        "Peers",
        Live::Yes,
        main,
    )))
}

fn rows(now: &NodeSnapshot, clock: Timestamp) -> Markup {
    let head = [
        ("Address", ""),
        ("Node", ""),
        ("Height", "right"),
        ("Tip", ""),
        ("Heard", ""),
        ("Stands", ""),
    ];
    table(
        "Peers",
        &head,
        html! {
            @for peer in &now.peers.peers {
                tr {
                    td { code { (peer.address) } }
                    td { code { (hex::encode(&peer.node.0[..4])) } }
                    td .right { (words::grouped(peer.tip.height.0)) }
                    td { (tip(now, peer)) }
                    td { (ago(peer.heard, clock)) }
                    td { (standing(now, peer.address, peer)) }
                }
            }
        },
    )
}

/// Only what this node has is worth a link.
fn tip(now: &NodeSnapshot, peer: &PeerView) -> Markup {
    let is_known =
        now.chain.tip.id == peer.tip.id || now.blocks.iter().any(|seen| seen.id == peer.tip.id);
    html! {
        @if is_known { (block_link(&peer.tip.id)) }
        @else { code { (super::layout::short(&peer.tip.id)) } }
        @if peer.tip.id == now.chain.tip.id { " " span .tag .good { "same" } }
        @else if peer.tip.is_better_than(&now.chain.tip) { " " span .tag .bad { "claims more work" } }
        @else { " " span .tag { "less work" } }
    }
}

fn standing(now: &NodeSnapshot, address: SocketAddr, peer: &PeerView) -> Markup {
    let downloads = now.peers.sync.is_some_and(|sync| sync.peer == address);
    html! {
        @if peer.pinned { span .tag .good { "pinned" } " " }
        @if peer.proven { span .tag .good { "proven" } " " }
        @else { span .tag { "only heard" } " " }
        @if downloads { span .tag .good { "downloading" } }
        @else if peer.session { span .tag { "session open" } }
    }
}

fn own(now: &NodeSnapshot) -> Markup {
    let counters = &now.counters;
    let number = |count: u64| html! { (words::grouped(count)) };
    facts(&[
        ("Node", html! { code { (hex::encode(now.facts.node.0)) } }),
        (
            "Block server",
            html! {
                @match now.facts.port {
                    Some(port) => { "TCP port " (port) ", " (words::count(now.open_sessions, "open session")) }
                    None => "none, this node only follows",
                }
            },
        ),
        (
            "Turned away",
            html! {
                (words::count(counters.refused_connections, "connection")) ", "
                (words::count(counters.refused_payments, "payment"))
            },
        ),
        ("Failed sessions", number(counters.failed_sessions)),
        (
            "Datagrams",
            html! {
                (words::grouped(counters.bad_datagrams)) " that were no message, "
                (words::grouped(counters.dropped_datagrams)) " dropped in a rush, "
                (words::grouped(counters.other_network)) " of other networks"
            },
        ),
    ])
}
