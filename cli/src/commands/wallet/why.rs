//! `mvb wallet why`: where a payment stands and what it waits for.

use crate::{context::Context, exit::Exit};
use anyhow::Result;
use mvb_node::{
    resident,
    wallet::{PaymentState, Reason, Why},
};
use mvb_protocol::hash::TxId;
use serde::Serialize;
use std::fmt;

/// Prints why a payment is not confirmed yet.
pub fn run(context: &Context, id: TxId) -> Result<Exit> {
    let open = context.wallet()?;
    let now = context.now();
    let why = open
        .wallet
        .why(&id, &resident::read(&open.home, now)?, now)?;
    context.output.report(&WhyReport::new(&why))?;
    Ok(Exit::Done)
}

/// A payment's state as JSON names it, and its block's height and depth.
pub fn state(state: &PaymentState) -> (&'static str, Option<u64>, u64) {
    match state {
        PaymentState::Pending | PaymentState::Orphaned { .. } => ("pending", None, 0),
        PaymentState::Confirmed { height, depth } => ("confirmed", Some(height.0), *depth),
        PaymentState::Superseded { .. } => ("superseded", None, 0),
    }
}

/// Reasons in one line.
pub fn in_words(reasons: &[Reason]) -> String {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

#[derive(Serialize)]
struct WhyReport {
    id: String,
    state: &'static str,
    reason: String,
    height: Option<u64>,
    confirmations: u64,
}

impl WhyReport {
    fn new(why: &Why) -> Self {
        let (state, height, confirmations) = state(&why.state);
        Self {
            id: why.id.to_string(),
            state,
            reason: in_words(&why.reasons),
            height,
            confirmations,
        }
    }
}

impl fmt::Display for WhyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payment {:.8}: {}", self.id, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::numbers::{Height, Sequence};

    fn told(state: PaymentState, reasons: Vec<Reason>) -> (String, String) {
        let report = WhyReport::new(&Why {
            id: TxId([0xab; 32]),
            state,
            reasons,
        });
        (report.to_string(), serde_json::to_string(&report).unwrap())
    }

    #[test]
    fn a_waiting_payment_tells_every_reason() {
        let reasons = vec![
            Reason::SequenceMissing {
                sequence: Sequence(4),
            },
            Reason::NoMinerFor { seconds: 12 },
        ];
        let (words, json) = told(PaymentState::Pending, reasons);
        assert_eq!(
            words,
            "payment abababab: sequence 4 is missing; no miner heard for 12 s"
        );
        assert_eq!(
            json,
            format!(
                r#"{{"id":"{}","state":"pending","reason":"sequence 4 is missing; no miner heard for 12 s","height":null,"confirmations":0}}"#,
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn a_confirmed_payment_names_its_block() {
        let (height, depth) = (Height(91), 3);
        let (words, json) = told(
            PaymentState::Confirmed { height, depth },
            vec![Reason::Confirmed { height, depth }],
        );
        assert_eq!(words, "payment abababab: confirmed in block 91, 3 deep");
        assert!(json.contains(r#""state":"confirmed""#) && json.contains(r#""height":91"#));
    }
}
