//! `mvb chain verify`: replays every block and compares.

use super::OpenChain;
use crate::{context::Context, exit::Exit, output::count, progress::Progress};
use anyhow::{Result, bail};
use mvb_actors::env::Workers;
use mvb_node::system::ThreadWorkers;
use mvb_storage::VerifyReport;
use serde::Serialize;
use std::fmt;

/// Replays the chain.
pub fn run(context: &Context) -> Result<Exit> {
    let open = OpenChain::new(context)?;
    let Some(store) = &open.store else {
        bail!(
            "no chain of network {:?} in {} yet; `mvb wallet sync` or `mvb miner` begins one",
            open.config.chain_params().network_name,
            open.home.path().display()
        );
    };
    let workers = ThreadWorkers::new()?;
    let mut progress = Progress::new(&context.output);
    let found = store.verify(&*workers.parallel(), &mut |height, of| {
        progress.set(height.0, of.0, "replaying blocks");
    })?;
    progress.clear();
    let sound = found.is_sound();
    context.output.report(&Verified::from(found))?;
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

#[derive(Serialize)]
struct Verified {
    ok: bool,
    height: u64,
    tip: String,
    accounts: u64,
    payments: u64,
    difference: Option<String>,
}

impl From<VerifyReport> for Verified {
    fn from(report: VerifyReport) -> Self {
        Self {
            ok: report.is_sound(),
            height: report.height.0,
            tip: report.tip.id.to_string(),
            accounts: report.accounts,
            payments: report.payments,
            difference: report.difference,
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            height,
            tip,
            accounts,
            payments,
            ..
        } = self;
        match &self.difference {
            None => writeln!(
                f,
                "sound: {} to {tip} replayed, {} and {} as they should be",
                count(*height, "block"),
                count(*payments, "payment"),
                count(*accounts, "account"),
            ),
            Some(difference) => writeln!(
                f,
                "NOT sound: {difference}\n\
                 up to block {height} everything is as it should be; keep a copy of the home, \
                 then remove chains and chain.toml from it and sync again with the same parameters"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_loud_and_says_what_to_do() {
        let mut told = Verified {
            ok: true,
            height: 1,
            tip: "abc".into(),
            accounts: 2,
            payments: 0,
            difference: None,
        };
        assert_eq!(
            told.to_string(),
            "sound: 1 block to abc replayed, 0 payments and 2 accounts as they should be\n"
        );
        told.difference = Some("account x has balance 1, expected 2".into());
        assert_eq!(
            told.to_string(),
            "NOT sound: account x has balance 1, expected 2\n\
             up to block 1 everything is as it should be; keep a copy of the home, \
             then remove chains and chain.toml from it and sync again with the same parameters\n"
        );
    }
}
