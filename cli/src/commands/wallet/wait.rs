//! Waits until a payment is confirmed: beside whatever runs on this home, by looking at the
//! chain it writes, or else with a node of its own that follows the network meanwhile.

use super::why;
use crate::{
    commands::watch::{self, Ended, Tell},
    context::{Context, OpenWallet},
    exit::Interrupted,
};
use anyhow::{Result, bail};
use mvb_node::{
    home::{HomeError, LockError},
    resident,
    running::{self, RunError, Work},
    wallet::{PaymentState, Reason},
};
use mvb_protocol::{hash::TxId, numbers::Height};
use std::{mem, time::Duration};
use tokio::time::sleep;

/// How often the chain is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A phase of waiting.
enum Phase {
    /// The payment is in this block.
    Confirmed(Height),
    /// Whatever ran on this home has ended, or something has begun to.
    OtherResident,
    /// A signal came.
    Signal,
}

/// Returns the height of the payment's block once it has one. `told` is the reason for
/// waiting that the user has read already.
pub async fn until_confirmed(
    context: &Context,
    open: &OpenWallet,
    id: TxId,
    told: Option<&Reason>,
) -> Result<Height> {
    let mut told = told.map(mem::discriminant);
    loop {
        let phase = if open.home.is_locked()? {
            beside_resident(context, open, id, &mut told).await?
        } else {
            with_own_node(context, open, id).await?
        };
        match phase {
            Phase::Confirmed(height) => return Ok(height),
            Phase::OtherResident => {}
            Phase::Signal => {
                return Err(Interrupted(format!(
                    "payment {id:.8} is saved but not confirmed yet; `mvb wallet why {id}` \
                     says what it waits for"
                ))
                .into());
            }
        }
    }
}

async fn beside_resident(
    context: &Context,
    open: &OpenWallet,
    id: TxId,
    told: &mut Option<mem::Discriminant<Reason>>,
) -> Result<Phase> {
    let ended = watch::signal();
    tokio::pin!(ended);
    while open.home.is_locked()? {
        if let Some(height) = confirmed(open, id)? {
            return Ok(Phase::Confirmed(height));
        }
        let now = context.now();
        let why = open
            .wallet
            .why(&id, &resident::read(&open.home, now)?, now)?;
        // What is told again only with other numbers is no news.
        let reason = why.reasons.first().map(mem::discriminant);
        if reason != *told {
            context.output.hint(why::in_words(&why.reasons));
            *told = reason;
        }
        tokio::select! {
            biased;
            signal = &mut ended => {
                signal?;
                return Ok(Phase::Signal);
            }
            () = sleep(BETWEEN_LOOKS) => {}
        }
    }
    Ok(Phase::OtherResident)
}

async fn with_own_node(context: &Context, open: &OpenWallet, id: TxId) -> Result<Phase> {
    let running = match running::start(&open.home, &open.config, Work::Follow).await {
        Ok(running) => running,
        Err(RunError::Home(HomeError::Lock(LockError::Held { .. } | LockError::HeldByUnknown))) => {
            return Ok(Phase::OtherResident);
        }
        Err(error) => return Err(error.into()),
    };
    context
        .output
        .hint("following the network until the payment is confirmed");
    // The wallet was opened before there was a chain, perhaps; the node's own store has it.
    let wallet = crate::context::open_wallet(&open.config, &open.home)?;
    let mut tip = None;
    let ended = watch::watch(context, &running.view, Tell::Warnings, |seen, _| {
        if tip == Some(seen.chain.tip) {
            return Ok(None);
        }
        tip = Some(seen.chain.tip);
        height_of(&wallet, id)
    })
    .await?;
    Ok(match ended {
        Ended::With(height) => Phase::Confirmed(height),
        Ended::Signal => Phase::Signal,
    })
}

fn confirmed(open: &OpenWallet, id: TxId) -> Result<Option<Height>> {
    height_of(&open.wallet, id)
}

fn height_of(wallet: &mvb_node::wallet::Wallet, id: TxId) -> Result<Option<Height>> {
    match wallet.state(&id)? {
        PaymentState::Confirmed { height, .. } => Ok(Some(height)),
        PaymentState::Superseded { by: Some(by) } => {
            bail!("payment {id:.8} was superseded by payment {by}")
        }
        PaymentState::Superseded { by: None } => {
            bail!("payment {id:.8} was superseded by another payment with its sequence")
        }
        PaymentState::Pending | PaymentState::Orphaned { .. } => Ok(None),
    }
}
