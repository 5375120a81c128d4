//! The lists: blocks of the active chain, and payments that wait.

use super::layout::{
    Live, Place, address_link, ago, block_link, coins, empty, heading, height_link, page, pager,
    payment_link, table,
};
use crate::{
    look::{self, BlockLine},
    problem::Problem,
    reply::{Reply, Request},
};
use maud::{Markup, html};
use mvb_actors::transaction_intake::{mempool::Waiting, queue::Standing};
use mvb_node::{snapshot::NodeSnapshot, words};
use mvb_protocol::numbers::Timestamp;

/// How many lines a page has.
const LINES: usize = 25;

/// The blocks of the active chain, the highest first.
///
/// # Errors
/// When the query is wrong or the chain cannot be read.
pub fn blocks(request: &Request) -> Result<Reply, Problem> {
    let before = request.query.height("before")?;
    let now = request.node.now();
    let chain = request.node.chain()?;
    let headers = look::headers(&*chain, before, LINES)?;
    let lines = look::lines(&*chain, headers, &now.blocks)?;
    let older = lines.last().map(|line| line.header.height);
    let older = older.filter(|height| height.0 > 1);
    let main = html! {
        (heading("Blocks", html! { "The active chain, the newest first." }))
        div #blocks data-live {
            @if lines.is_empty() {
                (empty("No block here", html! { "The chain begins with block 1." }))
            } @else {
                (block_table(&lines, request.now, &now))
            }
        }
        (pager(
            before.map(|_| "/blocks".to_owned()),
            older.map(|height| format!("/blocks?before={height}")),
        ))
    };
    let live = if before.is_none() {
        Live::Yes
    } else {
        Live::No
    };
    Ok(Reply::page(page(
        &request.node,
        Place::Blocks,
        "Blocks",
        live,
        main,
    )))
}

/// Lines of blocks.
pub fn block_table(lines: &[BlockLine], clock: Timestamp, now: &NodeSnapshot) -> Markup {
    let own = now.facts.search.as_ref().map(|search| search.reward_to);
    let head = [
        ("Height", "right"),
        ("Block", ""),
        ("Age", ""),
        ("Payments", "right"),
        ("Size", "right"),
        ("Rewarded", ""),
    ];
    table(
        "Blocks",
        &head,
        html! {
            @for line in lines {
                tr {
                    td .right { (height_link(line.header.height)) }
                    td { (block_link(&line.id)) }
                    td { (ago(line.header.timestamp, clock)) }
                    td .right { (words::grouped(line.payments as u64)) }
                    td .right { (bytes(line.bytes)) }
                    td {
                        (address_link(&line.reward_to))
                        @if own == Some(line.reward_to) { " " span .tag .good { "this node" } }
                    }
                }
            }
        },
    )
}

/// The payments that wait, by sender and sequence.
///
/// # Errors
/// When the query is wrong, or the node is ending.
pub fn mempool(request: &Request) -> Result<Reply, Problem> {
    let after = request.query.waiting("cursor")?;
    let now = request.node.now();
    let listed = futures::executor::block_on(request.node.list_waiting(after, LINES + 1));
    let mut listed = listed.ok_or_else(Problem::going_down)?;
    let more = listed.len() > LINES;
    listed.truncate(LINES);
    let next = listed.last().filter(|_| more).map(cursor);
    let totals = now.mempool;
    let main = html! {
        (heading("Mempool", html! {
            "Payments that are signed, known here and in no block yet; by sender, in the order in which they apply."
        }))
        div #waiting data-live {
            p .quiet {
                (words::count(totals.waiting, "payment")) " of " (bytes(totals.bytes)) "; "
                (words::grouped(totals.ready as u64)) " could be in the next block."
            }
            @if listed.is_empty() {
                (empty("Nothing waits", html! {
                    "Payments show up here within a moment of "
                    code { "mvb wallet send" } "."
                }))
            } @else {
                (waiting_table(&listed))
            }
        }
        (pager(
            after.map(|_| "/mempool".to_owned()),
            next.map(|next| format!("/mempool?cursor={next}")),
        ))
    };
    Ok(Reply::page(page(
        &request.node,
        Place::Mempool,
        "Mempool",
        Live::Yes,
        main,
    )))
}

/// Where the page after a payment begins.
pub fn cursor(waiting: &Waiting) -> String {
    let payment = waiting.payment.transaction();
    format!("{}-{}", payment.from().to_lower_hex(), payment.sequence)
}

fn waiting_table(listed: &[Waiting]) -> Markup {
    let head = [
        ("Payment", ""),
        ("From", ""),
        ("Sequence", "right"),
        ("To", ""),
        ("Amount", "right"),
        ("Fee", "right"),
        ("Stands", ""),
    ];
    table(
        "Payments that wait",
        &head,
        html! {
            @for waiting in listed {
                @let payment = waiting.payment.transaction();
                tr {
                    td { (payment_link(&payment.id())) }
                    td { (address_link(&payment.from())) }
                    td .right { (payment.sequence) }
                    td { (address_link(&payment.to)) }
                    td .right { (coins(payment.amount)) }
                    td .right { (coins(payment.fee)) }
                    td { (standing(&waiting.standing)) }
                }
            }
        },
    )
}

/// Where a payment in the mempool stands.
fn standing(standing: &Standing) -> Markup {
    html! {
        @match standing {
            Standing::Ready => span .tag .good { "ready" },
            Standing::Gap { missing } => span .tag .bad { "sequence " (missing) " is missing" },
            Standing::Uncovered { .. } => span .tag .bad { "not covered" },
        }
    }
}

/// Bytes with a unit.
pub fn bytes(bytes: usize) -> String {
    match bytes {
        0..10_000 => format!("{} B", words::grouped(bytes as u64)),
        10_000..10_240_000 => format!("{:.0} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
