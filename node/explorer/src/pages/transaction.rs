//! The page of a payment: where it stands and, while it is in no block, why.

use super::layout::{
    Live, Place, block_link, coins, facts, heading, height_link, page, utc, whole,
};
use crate::{
    api::types,
    ask,
    look::{self, FoundPayment},
    problem::Problem,
    reply::{Reply, Request},
};
use maud::{Markup, html};
use mvb_actors::transaction_intake::{mempool::Waiting, queue::Standing};
use mvb_node::{
    wallet::{PaymentState, Why},
    words,
};
use mvb_protocol::{address::Address, transaction::Transaction};

/// The page.
///
/// # Errors
/// When the payment is not known here.
pub fn transaction(request: &Request) -> Result<Reply, Problem> {
    let id = ask::transaction_id(&request.name)?;
    let found = look::payment(&request.node, id, request.now)?;
    let (live, body) = match &found {
        FoundPayment::Confirmed {
            transaction,
            location,
            block,
            depth,
        } => {
            let stands = html! {
                span .tag .good { "confirmed" }
                " in block " (height_link(location.height)) " (" (block_link(block)) "), "
                (words::grouped(*depth)) " deep"
            };
            (Live::Yes, details(transaction, stands, Markup::default()))
        }
        FoundPayment::Unconfirmed {
            transaction,
            waiting,
            why,
        } => {
            let stands = stands(waiting.as_ref(), why.as_ref());
            let reasons = html! {
                div .notice {
                    strong { "Why it is not confirmed" }
                    ul #why {
                        @for reason in reasons(request, waiting.as_ref(), why.as_ref()) {
                            li { (reason) }
                        }
                    }
                }
            };
            (Live::Yes, details(transaction, stands, reasons))
        }
    };
    let main = html! {
        (heading("Payment", whole(id)))
        div #payment data-live { (body) }
    };
    Ok(Reply::page(page(
        &request.node,
        Place::Elsewhere,
        "Payment",
        live,
        main,
    )))
}

fn details(payment: &Transaction, stands: Markup, reasons: Markup) -> Markup {
    html! {
        (reasons)
        (facts(&[
            ("Stands", stands),
            ("Amount", coins(payment.amount)),
            ("Fee", html! {
                (coins(payment.fee)) " " span .quiet { "for " (payment.size()) " bytes" }
            }),
            ("From", whole_address(&payment.from())),
            ("To", whole_address(&payment.to)),
            ("Sequence", html! { (payment.sequence) " " span .quiet { "among the sender's payments, from 0" } }),
            ("Signed", html! { (utc(payment.timestamp)) " " span .quiet { "by the sender's clock" } }),
            ("Key", html! {
                "P-" (payment.key.curve().bits()) " " code .whole { (hex::encode(payment.key.as_bytes())) }
            }),
            ("Signature", html! { code .whole { (hex::encode(payment.signature.as_bytes())) } }),
        ]))
    }
}

/// All of an address, so that it can be copied from here.
fn whole_address(address: &Address) -> Markup {
    html! { a .id .whole href={ "/addresses/" (address) } { (address) } }
}

fn stands(waiting: Option<&Waiting>, why: Option<&Why>) -> Markup {
    html! {
        @match (waiting, why.map(|why| why.state)) {
            (_, Some(PaymentState::Superseded { .. })) => span .tag .bad { "superseded" },
            (Some(_), _) => span .tag { "waits in the mempool" },
            (None, _) => span .tag .bad { "not in this node's mempool" },
        }
    }
}

/// Where a payment in no block stands, for programs.
pub fn state(waiting: Option<&Waiting>, why: Option<&Why>) -> types::PaymentState {
    match (waiting, why.map(|why| why.state)) {
        (_, Some(PaymentState::Superseded { .. })) => types::PaymentState::Superseded,
        (Some(_), _) => types::PaymentState::Waiting,
        (None, _) => types::PaymentState::Pending,
    }
}

/// What `mvb wallet why` says, where the payment was made here; else what the mempool knows.
pub fn reasons(request: &Request, waiting: Option<&Waiting>, why: Option<&Why>) -> Vec<String> {
    if let Some(why) = why {
        return why.reasons.iter().map(ToString::to_string).collect();
    }
    let Some(waiting) = waiting else {
        return vec!["nobody announces it".to_owned()];
    };
    match waiting.standing {
        Standing::Gap { missing } => vec![format!("sequence {missing} is missing")],
        Standing::Uncovered { balance, needed } => {
            vec![format!("balance {balance} does not cover {needed}")]
        }
        Standing::Ready => {
            let now = request.node.now();
            let next = now.chain.tip.height.next().unwrap_or(now.chain.tip.height);
            let needed = u64::from(request.node.params.least_payments(next));
            match needed.saturating_sub(now.mempool.ready as u64) {
                0 => vec!["waits for the next block".to_owned()],
                missing => vec![format!(
                    "waits for {}",
                    words::count(missing, "more transaction")
                )],
            }
        }
    }
}
