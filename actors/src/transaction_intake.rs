//! TransactionIntake: the only owner of the mempool. It hears payments from datagrams, from
//! sessions and from this home's outbox, and offers the miner payments for a block.
//!
//! Cheap checks come first: known by its witness id, the payment's own rules, its sequence,
//! the sender's balance, the source's rate. Only then is a signature verified, on a worker;
//! the result comes back as a message, is checked once more and taken in within one
//! handler. It never writes to the chain, and never waits inside a handler.

mod limits;
pub mod mempool;
pub mod queue;
mod returned;
pub mod select;

use crate::{
    env::Env,
    messages::{
        ListWaiting, PaymentPending, PaymentsWaiting, Refusal, SelectTransactions, Selection,
        SubmitTransaction, TipChanged, TransactionSource,
    },
    recent::Recent,
    view::Counters,
};
use actix::{
    dev::{MessageResponse, OneshotSender},
    prelude::*,
};
use limits::SourceLimits;
use mempool::{Coverage, Limits, Mempool, MempoolIndex};
use mvb_protocol::{
    chain::{Account, StoreError},
    hash::{TxId, Wid},
    mutant,
    transaction::{Name, Named, Transaction, TransactionError},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::oneshot, time::Instant};

/// How many messages may wait. Datagrams beyond it are dropped and counted.
const MAILBOX: usize = 1_024;

/// How many signatures may be in verification at once.
const MAX_VERIFYING: usize = 1_024;

/// How many of these may come from datagrams, so that a flood of them leaves room for
/// sessions and for this home's own payments.
const MAX_VERIFYING_DATAGRAMS: usize = 256;

/// How many payments with a wrong signature are remembered, so that repeating one costs
/// its sender more than this node.
const MAX_REFUSED: usize = 4_096;

/// How many payments of a reorg are taken back in one go, so that other messages get
/// their turn.
const RETURN_CHUNK: usize = 256;

/// What a TransactionIntake is told at its start.
#[derive(Clone, Debug)]
pub struct IntakeConfig {
    /// The most bytes of payments that wait, over the fixed layouts.
    pub max_bytes: usize,
    /// The most payments of one sender that wait.
    pub per_sender: u64,
    /// How many new payments one source may send as datagrams in a second.
    pub per_source_per_second: u32,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            per_sender: 64,
            per_source_per_second: 1_000,
        }
    }
}

/// Whom the intake talks to.
#[derive(Clone)]
pub struct IntakePorts {
    /// The miner, where there is one.
    pub miner: Option<Recipient<PaymentsWaiting>>,
    /// The gossip broadcaster.
    pub gossip: Recipient<PaymentPending>,
}

/// The actor.
pub struct TransactionIntake {
    env: Env,
    ports: IntakePorts,
    pool: Mempool,
    sources: SourceLimits,
    /// The payments whose signature was found wrong lately, by witness id: a copy with
    /// another signature is another entry.
    refused: Recent<Wid, TransactionError>,
    /// Whoever waits for a payment whose signature is being verified.
    verifying: BTreeMap<Wid, Verifying>,
    verifying_datagrams: usize,
}

/// A signature that a worker verifies.
struct Verifying {
    from_datagram: bool,
    waiters: Vec<oneshot::Sender<Result<TxId, Refusal>>>,
}

/// A worker has verified a payment's signature, or found it wrong.
#[derive(Message)]
#[rtype(result = "()")]
struct SignatureChecked {
    wid: Wid,
    payment: Result<Named, TransactionError>,
}

/// A worker has verified payments that a reorg took out of the chain.
#[derive(Message)]
#[rtype(result = "()")]
struct PaymentsReturned {
    payments: Vec<Named>,
}

/// A reply to SubmitTransaction: known at once, or when the signature is verified.
pub enum SubmitReply {
    /// It needed no verification.
    Now(Result<TxId, Refusal>),
    /// A worker is at it.
    Later(oneshot::Receiver<Result<TxId, Refusal>>),
}

impl TransactionIntake {
    /// An intake with an empty mempool.
    pub fn new(env: Env, config: IntakeConfig, ports: IntakePorts) -> Self {
        let limits = Limits {
            max_bytes: config.max_bytes,
            per_sender: config.per_sender,
        };
        Self {
            pool: Mempool::new(env.params.genesis_id(), limits),
            sources: SourceLimits::new(config.per_source_per_second),
            refused: Recent::new(MAX_REFUSED),
            verifying: BTreeMap::new(),
            verifying_datagrams: 0,
            env,
            ports,
        }
    }

    /// The waiting payments by id, for whoever tells a person about them.
    pub fn index(&self) -> Arc<MempoolIndex> {
        self.pool.index().clone()
    }
}

impl Actor for TransactionIntake {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<SubmitTransaction> for TransactionIntake {
    type Result = SubmitReply;

    fn handle(&mut self, message: SubmitTransaction, ctx: &mut Self::Context) -> SubmitReply {
        let name = Name::of(&message.transaction);
        match self.consider(&message, &name) {
            Ok(None) => SubmitReply::Later(self.verify(message, name.wid, ctx)),
            Ok(Some(payment)) => SubmitReply::Now(self.take_in(&payment)),
            Err(Refusal::Duplicate { id }) if self.verifying.contains_key(&name.wid) => {
                self.wait(message.source, id, &name.wid)
            }
            Err(refusal) => SubmitReply::Now(Err(self.refuse(refusal))),
        }
    }
}

impl Handler<SignatureChecked> for TransactionIntake {
    type Result = ();

    fn handle(&mut self, message: SignatureChecked, _: &mut Self::Context) {
        let Some(verifying) = self.verifying.remove(&message.wid) else {
            return;
        };
        self.verifying_datagrams -= usize::from(verifying.from_datagram);
        let result = match message.payment {
            Ok(payment) => {
                self.env.verified.insert(message.wid);
                if mutant!(VerifiedById) {
                    self.env.verified.insert(Wid(payment.name().id.0));
                }
                self.take_in(&payment)
            }
            Err(error) => {
                self.refused.insert(message.wid, error.clone());
                Err(self.refuse(error.into()))
            }
        };
        for waiter in verifying.waiters {
            // A session that ended no longer waits.
            drop(waiter.send(result.clone()));
        }
    }
}

impl Handler<SelectTransactions> for TransactionIntake {
    type Result = ResponseFuture<Selection>;

    fn handle(&mut self, message: SelectTransactions, _: &mut Self::Context) -> Self::Result {
        let candidates = self.pool.candidates(message.max_bytes, &message.ahead);
        let synced = self.env.view.chain.borrow().tip;
        let known = message.ahead.tip().unwrap_or(synced).id;
        if candidates.is_empty() {
            // A miner of blocks without payments need not wait for a worker.
            let payments = Vec::new();
            let tip = known;
            return Box::pin(async move { Selection { tip, payments } });
        }
        let selection = self.env.read_ahead(message.ahead, move |chain| {
            Ok(Selection {
                tip: chain.tip()?.id,
                payments: candidates.choose(chain)?,
            })
        });
        Box::pin(async move {
            selection.await.unwrap_or_else(|error| {
                // A miner that asks on top of what was taken back is told so any moment.
                if !matches!(error, StoreError::Stale { .. }) {
                    tracing::error!(%error, "cannot choose payments");
                }
                Selection {
                    tip: known,
                    payments: Vec::new(),
                }
            })
        })
    }
}

impl Handler<ListWaiting> for TransactionIntake {
    type Result = MessageResult<ListWaiting>;

    fn handle(&mut self, message: ListWaiting, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.pool.page(message.after, message.limit))
    }
}

impl Handler<TipChanged> for TransactionIntake {
    type Result = ();

    fn handle(&mut self, message: TipChanged, ctx: &mut Self::Context) {
        if !mutant!(ConfirmedStay) {
            self.pool.set_accounts(&message.accounts);
        }
        self.publish();
        self.announce_covered();
        if self.pool.totals().ready > 0 {
            // The miner heard of this block before: what it asked for since was chosen among
            // the payments that were ready then.
            self.tell_miner();
        }
        if !message.disconnected.is_empty() && !mutant!(NothingReturns) {
            self.take_back(message, ctx);
        }
    }
}

impl Handler<PaymentsReturned> for TransactionIntake {
    type Result = ();

    fn handle(&mut self, message: PaymentsReturned, _: &mut Self::Context) {
        let mut returned = 0;
        for payment in message.payments {
            match self.insert(&payment, Coverage::Hold) {
                Ok(_) => returned += 1,
                Err(refusal) => {
                    let id = payment.name().id;
                    tracing::debug!(%id, %refusal, "a payment did not return");
                }
            }
        }
        if returned > 0 {
            tracing::info!(payments = returned, "a reorg returned payments");
            self.announce_covered();
        }
    }
}

impl TransactionIntake {
    /// The cheap checks. A payment that passes them is given back if its signature was
    /// verified before, and else needs that.
    fn consider(
        &mut self,
        message: &SubmitTransaction,
        name: &Name,
    ) -> Result<Option<Named>, Refusal> {
        if self.verifying.contains_key(&name.wid) {
            return Err(Refusal::Duplicate { id: name.id });
        }
        if let Some(error) = self.refused.get(&name.wid) {
            return Err(error.clone().into());
        }
        let transaction = &*message.transaction;
        let account = self.account(transaction, name)?;
        self.pool
            .check(transaction, name, &account, Coverage::Required)?;
        if self.env.verified.contains(&name.wid) || mutant!(IntakeTrusts) {
            let genesis = self.env.params.genesis_id();
            if mutant!(IntakeTrusts) {
                self.env.verified.insert(name.wid);
            }
            let verified = transaction.clone().verify_unless(genesis, |_| true)?;
            return Ok(Some(Named::new(Arc::new(verified))));
        }
        match message.source {
            TransactionSource::Datagram(source) => {
                if self.verifying_datagrams >= MAX_VERIFYING_DATAGRAMS
                    || !self.sources.take(source, Instant::now())
                {
                    return Err(Refusal::TooMany {
                        source_address: source,
                    });
                }
            }
            TransactionSource::Peer(_) | TransactionSource::Outbox => {
                if self.verifying.len() >= MAX_VERIFYING {
                    return Err(Refusal::Busy);
                }
            }
        }
        Ok(None)
    }

    /// The sender's account as the chain has it now. A payment whose sequence is used is
    /// told apart from one that is on the chain itself.
    fn account(&self, transaction: &Transaction, name: &Name) -> Result<Account, Refusal> {
        let snapshot = self.env.store.snapshot()?;
        let account = snapshot.account(&name.from)?;
        if transaction.sequence < account.sequence
            && let Some(location) = snapshot.transaction(&name.id)?
        {
            return Err(Refusal::Confirmed {
                id: name.id,
                height: location.height,
            });
        }
        Ok(account)
    }

    /// Has a worker verify a signature. At most [`MAX_VERIFYING`] are under way, so their
    /// results may ignore the mailbox's capacity.
    fn verify(
        &mut self,
        message: SubmitTransaction,
        wid: Wid,
        ctx: &mut Context<Self>,
    ) -> oneshot::Receiver<Result<TxId, Refusal>> {
        let (waiter, receiver) = oneshot::channel();
        let from_datagram = matches!(message.source, TransactionSource::Datagram(_));
        self.verifying_datagrams += usize::from(from_datagram);
        self.verifying.insert(
            wid,
            Verifying {
                from_datagram,
                waiters: vec![waiter],
            },
        );
        let genesis = self.env.params.genesis_id();
        let checked = self.env.compute(move || {
            let transaction = Arc::unwrap_or_clone(message.transaction);
            let verified = transaction.verify(genesis)?;
            Ok(Named::new(Arc::new(verified)))
        });
        let intake = ctx.address();
        tokio::task::spawn_local(async move {
            let payment = checked.await;
            intake.do_send(SignatureChecked { wid, payment });
        });
        receiver
    }

    /// A payment whose signature is being verified came once more. Nobody waits for the
    /// reply to a datagram; sessions and the outbox get the same reply as the first.
    fn wait(&mut self, source: TransactionSource, id: TxId, wid: &Wid) -> SubmitReply {
        match (source, self.verifying.get_mut(wid)) {
            (TransactionSource::Peer(_) | TransactionSource::Outbox, Some(verifying)) => {
                let (waiter, receiver) = oneshot::channel();
                verifying.waiters.push(waiter);
                SubmitReply::Later(receiver)
            }
            _ => SubmitReply::Now(Err(Refusal::Duplicate { id })),
        }
    }

    /// Takes in a new payment whose signature is right.
    fn take_in(&mut self, payment: &Named) -> Result<TxId, Refusal> {
        let inserted = self.insert(payment, Coverage::Required);
        if inserted.is_ok() {
            Counters::count(&self.env.view.counters.accepted_payments);
            self.announce_covered();
        }
        inserted.map_err(|refusal| self.refuse(refusal))
    }

    fn insert(&mut self, payment: &Named, coverage: Coverage) -> Result<TxId, Refusal> {
        let name = payment.name();
        let account = self.account(payment.transaction(), name)?;
        let inserted = self.pool.insert(payment.clone(), account, coverage);
        self.publish();
        inserted?;
        tracing::debug!(id = %name.id, "payment accepted");
        self.tell_miner();
        Ok(name.id)
    }

    /// Has the payments that a reorg returned announced, each when others take it in. Its
    /// sender may be gone, and be unable to.
    fn announce_covered(&mut self) {
        let covered = self.pool.take_covered();
        if !covered.is_empty() {
            let transactions = covered.iter().map(|payment| payment.transaction().clone());
            self.ports.gossip.do_send(PaymentPending {
                transactions: transactions.collect(),
            });
        }
    }

    fn tell_miner(&self) {
        if let Some(miner) = &self.ports.miner {
            let waiting = self.pool.totals().waiting;
            miner.do_send(PaymentsWaiting { waiting });
        }
    }

    /// Takes back the payments that a reorg took out of the chain, once a worker has
    /// verified them, a few at a time.
    fn take_back(&mut self, reorg: TipChanged, ctx: &mut Context<Self>) {
        let most = self.pool.limits().max_bytes;
        let returned = returned::verified_payments(&self.env, reorg, most);
        let intake = ctx.address();
        tokio::task::spawn_local(async move {
            for chunk in returned.await.chunks(RETURN_CHUNK) {
                let payments = chunk.to_vec();
                let sent = intake.send(PaymentsReturned { payments }).await;
                if sent.is_err() {
                    return;
                }
            }
        });
    }

    fn refuse(&self, refusal: Refusal) -> Refusal {
        let counters = &self.env.view.counters;
        if refusal.is_duplicate() {
            Counters::count(&counters.duplicate_payments);
        } else {
            Counters::count(&counters.refused_payments);
            let mut refusals = counters.refusals.borrow_mut();
            *refusals.entry(refusal.reason()).or_default() += 1;
        }
        refusal
    }

    fn publish(&self) {
        let totals = self.pool.totals();
        self.env.view.mempool.send_if_modified(|shown| {
            let changed = *shown != totals;
            *shown = totals;
            changed
        });
    }
}

impl MessageResponse<TransactionIntake, SubmitTransaction> for SubmitReply {
    fn handle(
        self,
        _: &mut Context<TransactionIntake>,
        asker: Option<OneshotSender<Result<TxId, Refusal>>>,
    ) {
        let Some(asker) = asker else { return };
        match self {
            // An asker that is gone needs no reply.
            Self::Now(result) => drop(asker.send(result)),
            Self::Later(receiver) => drop(tokio::task::spawn_local(async move {
                if let Ok(result) = receiver.await {
                    drop(asker.send(result));
                }
            })),
        }
    }
}

#[cfg(test)]
mod tests;
