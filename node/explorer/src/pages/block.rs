//! The page of a block: its header, its reward, its payments.

use super::{
    layout::{
        Live, Place, address_link, block_link, coins, empty, facts, heading, moment, page, pager,
        payment_link, table, whole,
    },
    lists::bytes,
};
use crate::{
    ask::BlockRef,
    look::{self, FoundBlock},
    problem::Problem,
    reply::{Reply, Request},
};
use maud::{Markup, html};
use mvb_actors::seen_blocks::Fate;
use mvb_node::words;
use mvb_protocol::numbers::Height;

/// How many payments a page shows.
const PAYMENTS: usize = 100;

/// The page.
///
/// # Errors
/// When no such block is stored.
pub fn block(request: &Request) -> Result<Reply, Problem> {
    let which = BlockRef::parse(&request.name)?;
    let from = request.query.height("from")?.map_or(0, |from| from.0);
    let chain = request.node.chain()?;
    let found = look::block(&*chain, which)?;
    let height = found.block.header.height;
    let title = format!("Block {}", words::grouped(height.0));
    let replaced = match found.depth {
        Some(_) => None,
        None => chain.active_id(height)?,
    };
    let main = html! {
        (heading(&title, whole(found.id)))
        @if found.depth.is_none() {
            p .notice {
                "This block is not on the active chain. "
                @match replaced {
                    Some(id) => { "Block " (block_link(&id)) " stands at its height." }
                    None => { "The active chain does not reach its height." }
                }
                " Its payments that are in no other block wait again."
            }
        }
        (header(request, &found))
        section aria-labelledby="payments" {
            header {
                h2 #payments { (words::count(found.block.transactions.len(), "payment")) }
            }
            (payments(&found, from))
        }
        (neighbours(&found))
    };
    Ok(Reply::page(page(
        &request.node,
        Place::Blocks,
        &title,
        Live::No,
        main,
    )))
}

fn header(request: &Request, found: &FoundBlock) -> Markup {
    let block = &found.block;
    let header = &block.header;
    let now = request.node.now();
    let is_ours = now
        .blocks
        .iter()
        .any(|seen| seen.id == found.id && seen.found_here);
    let was_outdone = now
        .blocks
        .iter()
        .any(|seen| seen.id == found.id && seen.fate == Fate::Outdone);
    let work = header.target.expand().map(|target| target.work());
    facts(&[
        (
            "Stands",
            html! {
                @match found.depth {
                    Some(depth) => span .tag .good { "active, " (words::grouped(depth)) " deep" },
                    None if was_outdone => span .tag { "never active" },
                    None => span .tag .bad { "orphaned" },
                }
                @if is_ours { " " span .tag .good { "found here" } }
            },
        ),
        ("Made", moment(header.timestamp, request.now)),
        (
            "Reward",
            html! {
                (coins(block.reward.amount)) " to " (address_link(&block.reward.to))
            },
        ),
        (
            "Size",
            html! { (bytes(block.size())) " of at most " (bytes(request.node.params.max_block_bytes as usize)) },
        ),
        (
            "Previous",
            html! {
                @if header.height == Height(1) { "genesis" }
                @else { (block_link(&header.previous)) }
            },
        ),
        (
            "Work",
            html! {
                @match work {
                    Some(work) => {
                        "2" sup { (format!("{:.2}", work.as_f64().max(1.0).log2())) }
                        " hashes on average; 2" sup { (format!("{:.2}", found.work.as_f64().max(1.0).log2())) }
                        " up to here"
                    }
                    None => "unknown",
                }
            },
        ),
        (
            "Target",
            html! { code { (format!("{:#010x}", header.target.0)) } },
        ),
        (
            "Nonce",
            html! { code { (header.nonce) } " " span .quiet { "extra " code { (block.reward.extra_nonce) } } },
        ),
        ("Content root", whole(header.content_root)),
    ])
}

fn payments(found: &FoundBlock, from: u64) -> Markup {
    let all = &found.block.transactions;
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(all.len());
    let shown = &all[from..all.len().min(from + PAYMENTS)];
    let end = from + shown.len();
    if all.is_empty() {
        return empty("No payment", html! { "This block holds its reward only." });
    }
    let head = [
        ("Payment", ""),
        ("From", ""),
        ("To", ""),
        ("Amount", "right"),
        ("Fee", "right"),
    ];
    html! {
        (table("Payments of this block", &head, html! {
            @for payment in shown {
                tr {
                    td { (payment_link(&payment.id())) }
                    td { (address_link(&payment.from())) }
                    td { (address_link(&payment.to)) }
                    td .right { (coins(payment.amount)) }
                    td .right { (coins(payment.fee)) }
                }
            }
        }))
        (pager(
            (from > 0).then(|| format!("/blocks/{}", found.id)),
            (end < all.len()).then(|| format!("/blocks/{}?from={end}", found.id)),
        ))
    }
}

fn neighbours(found: &FoundBlock) -> Markup {
    let header = &found.block.header;
    html! {
        nav .pager aria-label="Neighbours" {
            @if header.height.0 > 1 {
                a href={ "/blocks/" (header.previous) } rel="prev" {
                    "← Block " (words::grouped(header.height.0 - 1))
                }
            }
            @if let Some(next) = found.next {
                a href={ "/blocks/" (next) } rel="next" {
                    "Block " (words::grouped(header.height.0.saturating_add(1))) " →"
                }
            }
        }
    }
}
