//! The page of an address: what it has, what it was paid and has paid.

use super::layout::{
    Live, Place, address_link, coins, empty, facts, heading, height_link, page, pager,
    payment_link, table, utc, whole,
};
use crate::{
    ask::{self, location_cursor},
    look::{self, HistoryItem},
    problem::Problem,
    reply::{Reply, Request},
};
use maud::{Markup, html};
use mvb_protocol::chain::HistoryKind;

/// How many entries a page has.
const ENTRIES: usize = 25;

/// The page.
///
/// # Errors
/// When it is no address, the query is wrong or the chain cannot be read.
pub fn address(request: &Request) -> Result<Reply, Problem> {
    let address = ask::address(&request.name)?;
    let before = request.query.location("cursor")?;
    let chain = request.node.chain()?;
    let (account, is_known) = look::account(&*chain, &address)?;
    let history = look::history(&*chain, &address, before, ENTRIES)?;
    let now = request.node.now();
    let mines_here = now
        .facts
        .search
        .as_ref()
        .is_some_and(|search| search.reward_to == address);
    let main = html! {
        (heading("Address", whole(address)))
        div #account data-live {
            (facts(&[
                ("Balance", html! { strong { (coins(account.balance)) } }),
                ("Payments made", html! { (account.sequence) }),
            ]))
        }
        @if mines_here {
            p .about { "The rewards of this node's miner go here." }
        }
        section aria-labelledby="history" {
            header { h2 #history { "History" } span .quiet { "in blocks, the newest first" } }
            div #entries data-live {
                @if history.items.is_empty() && is_known {
                    (empty("Nothing before this", html! { "The history begins above." }))
                } @else if history.items.is_empty() {
                    (empty("Nothing yet", html! {
                        "No block has paid this address. It exists all the same: whoever has its key can be paid."
                    }))
                } @else {
                    (entries(&history.items))
                }
            }
            (pager(
                before.map(|_| format!("/addresses/{address}")),
                history.next.map(|next| {
                    format!("/addresses/{address}?cursor={}", location_cursor(next))
                }),
            ))
        }
    };
    Ok(Reply::page(page(
        &request.node,
        Place::Elsewhere,
        "Address",
        Live::Yes,
        main,
    )))
}

fn entries(items: &[HistoryItem]) -> Markup {
    let head = [
        ("What", ""),
        ("Amount", "right"),
        ("Fee", "right"),
        ("With", ""),
        ("Payment", ""),
        ("Block", "right"),
        ("Time", ""),
    ];
    table(
        "History of this address",
        &head,
        html! {
            @for item in items {
                tr {
                    td { (kind(item.kind)) }
                    td .right { (sign(item.kind)) (coins(item.amount)) }
                    @match &item.payment {
                        Some(payment) => {
                            td .right { (coins(payment.fee)) }
                            td {
                                @if item.kind == HistoryKind::Received { (address_link(&payment.from)) }
                                @else { (address_link(&payment.to)) }
                            }
                            td { (payment_link(&payment.id)) }
                        }
                        None => { td .right { "–" } td { "–" } td { "–" } }
                    }
                    td .right { (height_link(item.location.height)) }
                    td { (utc(item.time)) }
                }
            }
        },
    )
}

fn kind(kind: HistoryKind) -> Markup {
    html! {
        @match kind {
            HistoryKind::Sent => span .tag { "sent" },
            HistoryKind::Received => span .tag .good { "received" },
            HistoryKind::SentToSelf => span .tag { "to itself" },
            HistoryKind::Reward => span .tag .good { "reward" },
        }
    }
}

fn sign(kind: HistoryKind) -> &'static str {
    match kind {
        HistoryKind::Sent => "−",
        HistoryKind::Received | HistoryKind::Reward => "+",
        HistoryKind::SentToSelf => "",
    }
}
