//! GossipBroadcaster: what this node announces, and how often. A miner's status goes out
//! every interval and as soon as the tip changes; this home's payments go out every
//! interval until they are on the active chain; payments that a reorg returned go out once.
//!
//! It only sends. A broadcast that fails is logged once and tried again in its turn.

mod pace;

use crate::{
    env::{Channel, Env},
    messages::{PaymentPending, SubmitTransaction, TipChanged, TransactionSource},
};
use actix::prelude::*;
use mvb_protocol::{
    chain::{StoreError, Tip},
    mutant,
    transaction::Transaction,
    wire::{Announcement, Endpoint, Status},
};
use pace::{PaymentQueue, Release, StatusPace};
use std::{io, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a broadcast may take before it counts as failed.
const BROADCAST_DEADLINE: Duration = Duration::from_secs(1);

/// How long to wait after a few payments went out, so that many of them do not fill receive buffers.
const PAYMENT_GAP: Duration = Duration::from_millis(50);

/// How many payments go out together.
const PAYMENTS_TOGETHER: usize = 10;

/// What a GossipBroadcaster is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct GossipConfig {
    /// How often a miner announces its chain.
    pub status_interval: Duration,
    /// How often unconfirmed payments of this home are announced.
    pub transaction_interval: Duration,
}

impl Default for GossipConfig {
    fn default() -> Self {
        Self {
            status_interval: Duration::from_secs(5),
            transaction_interval: Duration::from_secs(5),
        }
    }
}

/// The actor.
pub struct GossipBroadcaster {
    env: Env,
    config: GossipConfig,
    endpoint: Option<Endpoint>,
    intake: Recipient<SubmitTransaction>,
    tip: Tip,
    pace: StatusPace,
    payments: PaymentQueue,
    reading_outbox: bool,
    sending_payments: bool,
    troubles: [Option<io::ErrorKind>; 2],
}

impl GossipBroadcaster {
    /// A broadcaster. With an endpoint, a miner's, it announces the chain; payments are
    /// announced by everybody.
    pub fn new(
        env: Env,
        config: GossipConfig,
        endpoint: Option<Endpoint>,
        intake: Recipient<SubmitTransaction>,
    ) -> Self {
        let tip = env.view.chain.borrow().tip;
        Self {
            env,
            config,
            endpoint,
            intake,
            tip,
            pace: StatusPace::default(),
            payments: PaymentQueue::default(),
            reading_outbox: false,
            sending_payments: false,
            troubles: [None; 2],
        }
    }
}

impl Actor for GossipBroadcaster {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.endpoint.is_some() {
            self.announce(ctx);
            ctx.run_interval(self.config.status_interval, |gossip, ctx| {
                if !mutant!(StatusOnChangeOnly) {
                    gossip.announce(ctx);
                }
            });
        }
        self.read_outbox(ctx);
        ctx.run_interval(self.config.transaction_interval, |gossip, ctx| {
            if !mutant!(OutboxOnce) {
                gossip.read_outbox(ctx);
            }
        });
    }
}

impl Handler<TipChanged> for GossipBroadcaster {
    type Result = ();

    fn handle(&mut self, message: TipChanged, ctx: &mut Self::Context) {
        if !mutant!(StatusOfStart) {
            self.tip = message.tip;
        }
        self.announce(ctx);
    }
}

impl Handler<PaymentPending> for GossipBroadcaster {
    type Result = ();

    fn handle(&mut self, message: PaymentPending, ctx: &mut Self::Context) {
        self.payments.push_returned(message.transactions);
        self.send_payments(ctx);
    }
}

impl GossipBroadcaster {
    /// Sends the status now, or as soon as its pace allows; then with the newest tip.
    fn announce(&mut self, ctx: &mut Context<Self>) {
        let Some(endpoint) = self.endpoint else {
            return;
        };
        match self.pace.request(Instant::now()) {
            Release::Now => {
                let status = Status {
                    announcement: Announcement {
                        params: (*self.env.params).clone(),
                        tip: self.tip,
                    },
                    endpoint,
                };
                let sent = broadcast(
                    self.env.clone(),
                    Channel::Status,
                    vec![status.to_datagram()],
                );
                ctx.spawn(sent.into_actor(self).map(|result, gossip, ctx| {
                    gossip.note(Channel::Status, result);
                    if gossip.pace.sent() {
                        gossip.announce(ctx);
                    }
                }));
            }
            Release::At(when) => {
                ctx.run_later(when.duration_since(Instant::now()), |gossip, ctx| {
                    gossip.pace.due();
                    gossip.announce(ctx);
                });
            }
            Release::Pending => {}
        }
    }

    /// Finds the payments of this home that can still get into the active chain, unless the
    /// last ones are still going out.
    fn read_outbox(&mut self, ctx: &mut Context<Self>) {
        if self.reading_outbox || self.payments.has_own() {
            return;
        }
        self.reading_outbox = true;
        let unconfirmed = unconfirmed(&self.env);
        ctx.spawn(unconfirmed.into_actor(self).map(|result, gossip, ctx| {
            gossip.reading_outbox = false;
            match result {
                Ok(payments) => {
                    gossip.payments.set_own(payments);
                    gossip.send_payments(ctx);
                }
                Err(error) => tracing::error!(%error, "cannot read the outbox"),
            }
        }));
    }

    /// Sends the next few payments, and gives this home's own to this node's mempool too.
    fn send_payments(&mut self, ctx: &mut Context<Self>) {
        if self.sending_payments {
            return;
        }
        let (own, returned) = self.payments.next(PAYMENTS_TOGETHER);
        let datagrams: Vec<Vec<u8>> = own
            .iter()
            .map(|transaction| transaction.to_datagram())
            .chain(returned.iter().map(|payment| payment.to_datagram()))
            .collect();
        if datagrams.is_empty() {
            return;
        }
        for transaction in own {
            // One that finds the mailbox full comes again in the next interval.
            drop(self.intake.try_send(SubmitTransaction {
                transaction,
                source: TransactionSource::Outbox,
            }));
        }
        self.sending_payments = true;
        let sent = broadcast(self.env.clone(), Channel::Transactions, datagrams);
        ctx.spawn(sent.into_actor(self).map(|result, gossip, ctx| {
            gossip.note(Channel::Transactions, result);
            ctx.run_later(PAYMENT_GAP, |gossip, ctx| {
                gossip.sending_payments = false;
                gossip.send_payments(ctx);
            });
        }));
    }

    /// Logs a failure when it begins or changes, and its end.
    fn note(&mut self, channel: Channel, result: io::Result<()>) {
        let trouble = &mut self.troubles[channel as usize];
        match result {
            Ok(()) => {
                if trouble.take().is_some() {
                    tracing::info!(?channel, "broadcasts get out again");
                }
            }
            Err(error) => {
                if trouble.replace(error.kind()) != Some(error.kind()) {
                    tracing::warn!(?channel, %error, "cannot broadcast");
                }
            }
        }
    }
}

/// Broadcasts some datagrams, each with a deadline; all are tried, the last failure told.
async fn broadcast(env: Env, channel: Channel, datagrams: Vec<Vec<u8>>) -> io::Result<()> {
    let mut result = Ok(());
    for bytes in datagrams {
        let sent = env.net.broadcast(channel, &bytes);
        let sent = tokio::time::timeout(BROADCAST_DEADLINE, sent).await;
        if let Err(error) = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            result = Err(error);
        }
    }
    result
}

/// The unsettled payments of this home that can still get into the active chain, the oldest
/// first. One whose sequence is used is on it already, or another took its place; should a
/// reorg change that, it is announced again.
fn unconfirmed(
    env: &Env,
) -> impl Future<Output = Result<Vec<Arc<Transaction>>, StoreError>> + 'static {
    let outbox = env.outbox.clone();
    env.read(move |chain| {
        let mut unconfirmed = Vec::new();
        for payment in outbox.unsettled()? {
            if payment.sequence >= chain.account(&payment.from())?.sequence {
                unconfirmed.push(payment);
            }
        }
        Ok(unconfirmed)
    })
}

#[cfg(test)]
mod tests;
