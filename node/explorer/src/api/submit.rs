//! Takes in a signed payment. The rules are those of the network's intake; what it refuses
//! is told with a code that programs can go by.

use super::types::{Accepted, ErrorBody, Signed};
use crate::{
    problem::Problem,
    reply::{Reply, Request},
};
use actix_web::http::StatusCode;
use mvb_actors::messages::Refusal;
use mvb_protocol::{
    keys::{PublicKey, Signature},
    numbers::{Sequence, Timestamp},
    transaction::Transaction,
};

/// Hands a signed payment to the node, which announces it once. Whoever signed it keeps it
/// until it is in a block, and may hand it in again.
///
/// # Errors
/// When it is no payment, or the node refuses it.
#[utoipa::path(
    post,
    path = "/api/v1/transactions",
    request_body = Signed,
    responses(
        (status = 202, body = Accepted, description = "It waits for a block"),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn submit(request: &Request) -> Result<Reply, Problem> {
    let signed: Signed = serde_json::from_slice(&request.body)
        .map_err(|error| Problem::malformed(format!("not a signed payment: {error}")))?;
    let transaction = transaction(&signed)?;
    let submitted = request.node.submit(transaction, request.from);
    let answer = futures::executor::block_on(submitted).ok_or_else(Problem::going_down)?;
    let id = answer.map_err(|refusal| refused(&refusal))?;
    let accepted = Accepted { id: id.to_string() };
    Ok(Reply::json(&accepted).with_status(StatusCode::ACCEPTED))
}

/// Reads a payment from its document.
///
/// # Errors
/// Says which field is wrong.
pub fn transaction(signed: &Signed) -> Result<Transaction, Problem> {
    let wrong = |field: &str, error: &dyn std::fmt::Display| {
        Problem::malformed(format!("{field}: {error}"))
    };
    let bytes = |field: &str, text: &str| hex::decode(text).map_err(|error| wrong(field, &error));
    Ok(Transaction {
        genesis: signed
            .genesis
            .parse()
            .map_err(|error| wrong("genesis", &error))?,
        to: signed.to.parse().map_err(|error| wrong("to", &error))?,
        amount: signed
            .amount
            .parse()
            .map_err(|error| wrong("amount", &error))?,
        fee: signed.fee.parse().map_err(|error| wrong("fee", &error))?,
        sequence: Sequence(signed.sequence),
        timestamp: Timestamp(signed.timestamp),
        key: PublicKey::from_bytes(&bytes("key", &signed.key)?)
            .map_err(|error| wrong("key", &error))?,
        signature: Signature::from_bytes(&bytes("signature", &signed.signature)?)
            .map_err(|error| wrong("signature", &error))?,
    })
}

/// What a refusal is to programs.
fn refused(refusal: &Refusal) -> Problem {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let (status, code) = match refusal {
        Refusal::Duplicate { .. } => (StatusCode::CONFLICT, "already_waiting"),
        Refusal::Confirmed { .. } => (StatusCode::CONFLICT, "already_confirmed"),
        Refusal::SequenceUsed { .. } => (StatusCode::CONFLICT, "sequence_used"),
        Refusal::FeeTooLowToReplace { .. } => (StatusCode::CONFLICT, "fee_too_low_to_replace"),
        Refusal::Invalid(_) => (unprocessable, "invalid"),
        Refusal::SequenceTooFar { .. } => (unprocessable, "sequence_too_far"),
        Refusal::Uncovered { .. } => (unprocessable, "uncovered"),
        Refusal::Full => (StatusCode::SERVICE_UNAVAILABLE, "mempool_full"),
        Refusal::TooMany { .. } | Refusal::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
        Refusal::Store(error) => return Problem::from(error.clone()),
    };
    Problem::new(status, code, refusal.to_string())
}
