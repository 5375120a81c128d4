//! `mvb wallet send` and `mvb wallet cancel`: make a payment, announce it once, say what it
//! waits for, and with `--wait` wait.

use super::{wait, why};
use crate::{
    args,
    commands::watch,
    context::{Context, OpenWallet},
    exit::{Exit, UsageError},
    passphrase,
};
use anyhow::{Context as _, Result};
use mvb_actors::env::{Channel, Transport};
use mvb_node::{
    resident, running,
    transport::NetTransport,
    wallet::{CancelRequest, Party, Reason, SendRequest, Sent},
};
use mvb_protocol::{
    address::{Address, Checksum},
    amount::Amount,
    hash::TxId,
    transaction::Transaction,
};
use serde::Serialize;
use std::fmt;

/// Makes a payment.
pub fn send(context: &Context, send: args::Send) -> Result<Exit> {
    let warnings: Vec<String> = [&send.from, &send.to]
        .into_iter()
        .filter_map(|text| unverified(text))
        .collect();
    if send.amount == Amount::ZERO {
        return Err(UsageError("got amount 0, expected more than 0".to_owned()).into());
    }
    let request = SendRequest {
        from: party(&send.from)?,
        amount: send.amount,
        to: party(&send.to)?,
        fee: send.fee,
        now: context.now(),
    };
    let open = context.wallet()?;
    for warning in &warnings {
        context.output.warn(warning);
    }
    let sent = open
        .wallet
        .send(&request, &passphrase::of)
        .map_err(with_hint)?;
    let told = Told {
        title: format!(
            "Sent {} from {} to {}{}",
            send.amount,
            sent.name,
            send.to,
            if send.fee == Amount::ZERO {
                String::new()
            } else {
                format!(", fee {}", send.fee)
            }
        ),
        warnings,
    };
    finish(context, &open, &sent, told, send.wait)
}

/// Replaces a payment by one to oneself.
pub fn cancel(context: &Context, id: TxId) -> Result<Exit> {
    let open = context.wallet()?;
    let request = CancelRequest {
        id,
        fee: None,
        now: context.now(),
    };
    let sent = open
        .wallet
        .cancel(&request, &passphrase::of)
        .map_err(with_hint)?;
    let told = Told {
        title: format!(
            "Cancelling payment {id:.8}: {} pays itself in its place, with fee {}; whichever \
             of the two is confirmed first counts",
            sent.name, sent.transaction.fee
        ),
        warnings: Vec::new(),
    };
    finish(context, &open, &sent, told, false)
}

/// What the report says beside the payment.
struct Told {
    title: String,
    warnings: Vec<String>,
}

fn finish(
    context: &Context,
    open: &OpenWallet,
    sent: &Sent,
    told: Told,
    waits: bool,
) -> Result<Exit> {
    if let Err(error) = announce(open, &sent.transaction) {
        context.output.warn(format_args!(
            "not announced yet ({error:#}); the payment is saved, and `mvb wallet sync` or \
             `mvb miner` on this home announces it"
        ));
    }
    let now = context.now();
    let why = open
        .wallet
        .why(&sent.id, &resident::read(&open.home, now)?, now)?;
    let (state, height, _) = why::state(&why.state);
    let mut report = PaymentReport {
        id: sent.id.to_string(),
        from: sent.from.to_lower_hex(),
        to: sent.transaction.to.to_lower_hex(),
        amount: sent.transaction.amount.to_string(),
        fee: sent.transaction.fee.to_string(),
        sequence: sent.transaction.sequence.0,
        state,
        waits_for: (state == "pending").then(|| waits_for(&why.reasons, waits)),
        height,
        warnings: told.warnings,
        title: Some(told.title),
    };
    if !waits {
        context.output.report(&report)?;
        return Ok(Exit::Done);
    }
    watch::run(async {
        context.output.report(&report)?;
        let height = wait::until_confirmed(context, open, sent.id, why.reasons.first()).await?;
        report.state = "confirmed";
        report.height = Some(height.0);
        report.waits_for = None;
        report.title = None;
        context.output.report(&report)?;
        Ok(Exit::Done)
    })
}

/// What the payment waits for. Where this command goes on to announce it, that nobody else
/// does is no reason.
fn waits_for(reasons: &[Reason], waits: bool) -> String {
    let others: Vec<Reason> = reasons
        .iter()
        .copied()
        .filter(|reason| !(waits && *reason == Reason::NobodyAnnounces))
        .collect();
    match others.is_empty() {
        true => "announced by this command until it is confirmed".to_owned(),
        false => why::in_words(&others),
    }
}

/// Sends the payment to everybody once, right away.
fn announce(open: &OpenWallet, transaction: &Transaction) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let transport = NetTransport::new(running::transport(&open.config));
    let bytes = transaction.to_datagram();
    runtime
        .block_on(async { transport.broadcast(Channel::Transactions, &bytes).await })
        .context("cannot send to the network")
}

fn party(text: &str) -> Result<Party> {
    text.parse()
        .map_err(|error| UsageError(format!("{error}")).into())
}

/// A warning for an address that nothing vouches for.
fn unverified(text: &str) -> Option<String> {
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    match Address::parse(text) {
        Ok((address, Checksum::Absent)) if letters => Some(format!(
            "the letters of {text} have one case only, so a mistyped digit goes unnoticed; \
             compare it with what its owner sees: {address}"
        )),
        _ => None,
    }
}

/// A key that stayed locked needs a person or a variable.
fn with_hint(error: mvb_node::wallet::PaymentError) -> anyhow::Error {
    use mvb_node::wallet::{KeyStoreError, PaymentError};
    let locked = matches!(error, PaymentError::Key(KeyStoreError::Locked { .. }));
    match locked {
        true => anyhow::anyhow!("{error}: {}", passphrase::hint()),
        false => error.into(),
    }
}

#[derive(Serialize)]
struct PaymentReport {
    id: String,
    from: String,
    to: String,
    amount: String,
    fee: String,
    sequence: u64,
    state: &'static str,
    waits_for: Option<String>,
    height: Option<u64>,
    warnings: Vec<String>,
    /// The first line; the report of a confirmation has none.
    #[serde(skip)]
    title: Option<String>,
}

impl fmt::Display for PaymentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(title) = &self.title {
            writeln!(f, "{title}")?;
            writeln!(f, "Payment {}", self.id)?;
        }
        match (&self.waits_for, self.height) {
            (Some(reason), _) => writeln!(f, "Now: {reason}"),
            (None, Some(height)) => writeln!(f, "Confirmed in block {height}"),
            (None, None) => writeln!(f, "Now: {}", self.state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> PaymentReport {
        PaymentReport {
            id: "ab".repeat(32),
            from: "01".repeat(32),
            to: "02".repeat(32),
            amount: "2.5".into(),
            fee: "0".into(),
            sequence: 4,
            state: "pending",
            waits_for: Some("waits for 1 more transaction".into()),
            height: None,
            warnings: Vec::new(),
            title: Some("Sent 2.5 from mining_rewards to alice".into()),
        }
    }

    #[test]
    fn a_payment_tells_its_id_and_what_it_waits_for() {
        let id = "ab".repeat(32);
        assert_eq!(
            report().to_string(),
            format!(
                "Sent 2.5 from mining_rewards to alice\nPayment {id}\n\
                 Now: waits for 1 more transaction\n"
            )
        );
        assert_eq!(
            serde_json::to_string(&report()).unwrap(),
            format!(
                r#"{{"id":"{id}","from":"{}","to":"{}","amount":"2.5","fee":"0","sequence":4,"state":"pending","waits_for":"waits for 1 more transaction","height":null,"warnings":[]}}"#,
                "01".repeat(32),
                "02".repeat(32)
            )
        );
    }

    #[test]
    fn a_command_that_waits_announces_the_payment_itself() {
        let (nobody, missing) = (Reason::NobodyAnnounces, Reason::NoMinerYet);
        assert!(waits_for(&[nobody], false).starts_with("nobody announces it"));
        assert_eq!(
            waits_for(&[nobody], true),
            "announced by this command until it is confirmed"
        );
        assert_eq!(waits_for(&[nobody, missing], true), "no miner heard yet");
    }

    #[test]
    fn a_confirmation_tells_the_block_only() {
        let confirmed = PaymentReport {
            title: None,
            waits_for: None,
            height: Some(7),
            state: "confirmed",
            ..report()
        };
        assert_eq!(confirmed.to_string(), "Confirmed in block 7\n");
    }

    #[test]
    fn an_address_in_one_case_is_warned_about_and_a_name_is_not() {
        let address = Address([0xab; 32]);
        assert!(unverified(&address.to_lower_hex()).is_some());
        assert!(unverified(&address.to_string()).is_none());
        assert!(unverified("alice").is_none());
        assert!(unverified(&"1".repeat(64)).is_none());
    }
}
