//! `mvb wallet history`: what an address was paid and has paid.

use super::why::state;
use crate::{
    context::Context,
    exit::{Exit, UsageError},
    output::utc,
};
use anyhow::Result;
use mvb_node::wallet::{HistoryLine, Page, Party};
use mvb_protocol::{address::Address, chain::HistoryKind};
use serde::Serialize;
use std::fmt;

/// Prints an address's history.
pub fn run(context: &Context, of: &str, limit: u32) -> Result<Exit> {
    let party: Party = of.parse().map_err(|error| UsageError(format!("{error}")))?;
    let open = context.wallet()?;
    let address = open.wallet.resolve(&party)?;
    let page = Page {
        before: None,
        limit: limit as usize,
    };
    let lines = open.wallet.history(&address, page)?;
    context.output.report(&HistoryReport {
        address: address.to_lower_hex(),
        balance: open.wallet.account(&address)?.balance.to_string(),
        entries: lines
            .iter()
            .map(|line| Entry::new(line, &address))
            .collect(),
        of: of.to_owned(),
    })?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct HistoryReport {
    address: String,
    balance: String,
    entries: Vec<Entry>,
    #[serde(skip)]
    of: String,
}

#[derive(Serialize)]
struct Entry {
    state: &'static str,
    height: Option<u64>,
    time: u64,
    kind: &'static str,
    amount: String,
    fee: String,
    other: Option<String>,
    id: Option<String>,
    #[serde(skip)]
    shown_other: String,
}

impl Entry {
    fn new(line: &HistoryLine, of: &Address) -> Self {
        let (state, height, _) = state(&line.state);
        let kind = match line.kind {
            HistoryKind::Sent => "sent",
            HistoryKind::Received => "received",
            HistoryKind::SentToSelf => "sent-to-self",
            HistoryKind::Reward => "reward",
        };
        let other = match line.kind {
            HistoryKind::Reward => None,
            HistoryKind::SentToSelf => Some(*of),
            HistoryKind::Sent => Some(line.to),
            HistoryKind::Received => line.from,
        };
        Self {
            state,
            height,
            time: line.timestamp.0,
            kind,
            amount: line.amount.to_string(),
            fee: line.fee.to_string(),
            other: other.map(|other| other.to_lower_hex()),
            id: line.id.map(|id| id.to_string()),
            shown_other: other.map(|other| other.to_string()).unwrap_or_default(),
        }
    }
}

impl fmt::Display for HistoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: balance {}", self.of, self.balance)?;
        if self.entries.is_empty() {
            return writeln!(f, "nothing received or sent yet, as far as this home knows");
        }
        writeln!(
            f,
            "{:10} {:19} {:>14} {:10} Other side, payment",
            "Block", "Time (UTC)", "Amount", "Fee"
        )?;
        self.entries.iter().try_for_each(|entry| entry.fmt(f))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = match self.height {
            Some(height) => height.to_string(),
            None => self.state.to_owned(),
        };
        let sign = match self.kind {
            "sent" => '-',
            "sent-to-self" => ' ',
            _ => '+',
        };
        let amount = format!("{sign}{}", self.amount);
        let fee = match self.fee.as_str() {
            "0" => "",
            fee => fee,
        };
        let time = utc(self.time);
        write!(f, "{block:10} {time:19} {amount:>14} {fee:10} ")?;
        match (self.kind, &self.id) {
            ("reward", _) => writeln!(f, "reward of the block"),
            ("sent-to-self", Some(id)) => writeln!(f, "to itself, {id}"),
            ("sent", Some(id)) => writeln!(f, "to {}, {id}", self.shown_other),
            (_, id) => {
                let id = id.as_deref().unwrap_or_default();
                writeln!(f, "from {}, {id}", self.shown_other)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_node::wallet::PaymentState;
    use mvb_protocol::{
        amount::Amount,
        hash::TxId,
        numbers::{Height, Sequence, Timestamp},
    };

    fn line(kind: HistoryKind, state: PaymentState) -> HistoryLine {
        let reward = kind == HistoryKind::Reward;
        HistoryLine {
            kind,
            state,
            location: None,
            id: (!reward).then_some(TxId([0xcd; 32])),
            from: (!reward).then_some(Address([1; 32])),
            to: Address([2; 32]),
            amount: Amount::from_units(2_500_000),
            fee: Amount::from_units(1_000),
            sequence: (!reward).then_some(Sequence(0)),
            timestamp: Timestamp(1_795_369_881_000),
        }
    }

    #[test]
    fn each_line_says_when_how_much_and_with_whom() {
        let confirmed = PaymentState::Confirmed {
            height: Height(7),
            depth: 1,
        };
        let of = Address([1; 32]);
        let lines = [
            line(HistoryKind::Sent, PaymentState::Pending),
            line(HistoryKind::Received, confirmed),
            line(HistoryKind::Reward, confirmed),
        ];
        let report = HistoryReport {
            address: of.to_lower_hex(),
            balance: "7.5".into(),
            entries: lines.iter().map(|line| Entry::new(line, &of)).collect(),
            of: "alice".into(),
        };
        let (one, two, id) = ("01".repeat(32), "02".repeat(32), "cd".repeat(32));
        assert_eq!(
            report.to_string(),
            format!(
                "alice: balance 7.5\n\
                 Block      Time (UTC)                  Amount Fee        Other side, payment\n\
                 pending    2026-11-22 17:51:21           -2.5 0.001      to {two}, {id}\n\
                 7          2026-11-22 17:51:21           +2.5 0.001      from {one}, {id}\n\
                 7          2026-11-22 17:51:21           +2.5 0.001      reward of the block\n"
            )
        );
        assert_eq!(
            serde_json::to_string(&report.entries[0]).unwrap(),
            format!(
                r#"{{"state":"pending","height":null,"time":1795369881000,"kind":"sent","amount":"2.5","fee":"0.001","other":"{two}","id":"{id}"}}"#
            )
        );
    }
}
