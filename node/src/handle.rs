//! What other threads may use of a running node: its newest snapshot, its chain for reading,
//! and three questions that its actors answer. The explorer is built on it. Everything in it
//! may be cloned and sent; nothing in it can hold an actor up, because all that is asked of
//! one is bounded here.

use crate::{
    home::Home,
    resident,
    snapshot::NodeSnapshot,
    wallet::{Wallet, WalletError, Why},
};
use actix::prelude::*;
use mvb_actors::{
    messages::{ListWaiting, PaymentPending, Refusal, SubmitTransaction, TransactionSource},
    transaction_intake::mempool::{MempoolIndex, Waiting},
};
use mvb_protocol::{
    address::Address,
    chain::{ChainSnapshot, ChainStore, StoreError},
    hash::TxId,
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::Transaction,
};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::{Semaphore, watch};

/// The most payments that one question to the mempool may bring.
pub const MOST_WAITING: usize = 200;

/// How many payments handed in may be on their way through the node at once.
const MOST_SUBMITTED: usize = 16;

/// A node as other threads see it.
#[derive(Clone)]
pub struct NodeHandle {
    /// The chain's parameters.
    pub params: Arc<ChainParams>,
    /// What it shows.
    pub snapshots: watch::Receiver<Arc<NodeSnapshot>>,
    chain: Arc<dyn ChainStore>,
    mempool: Arc<MempoolIndex>,
    ports: Ports,
    own: Option<Own>,
    listing: Arc<Semaphore>,
    submitting: Arc<Semaphore>,
}

/// Whom questions go to.
#[derive(Clone)]
pub struct Ports {
    /// The TransactionIntake, for payments handed in.
    pub submit: Recipient<SubmitTransaction>,
    /// The TransactionIntake, for what waits.
    pub waiting: Recipient<ListWaiting>,
    /// The GossipBroadcaster.
    pub announce: Recipient<PaymentPending>,
}

/// What the node knows of its own home.
#[derive(Clone)]
pub struct Own {
    /// Its payments.
    pub wallet: Arc<Wallet>,
    /// Its folder.
    pub home: Home,
}

impl NodeHandle {
    /// Of the parts of a node.
    pub fn new(
        params: Arc<ChainParams>,
        snapshots: watch::Receiver<Arc<NodeSnapshot>>,
        chain: Arc<dyn ChainStore>,
        mempool: Arc<MempoolIndex>,
        ports: Ports,
        own: Option<Own>,
    ) -> Self {
        Self {
            params,
            snapshots,
            chain,
            mempool,
            ports,
            own,
            listing: Arc::new(Semaphore::new(1)),
            submitting: Arc::new(Semaphore::new(MOST_SUBMITTED)),
        }
    }

    /// What it shows now.
    pub fn now(&self) -> Arc<NodeSnapshot> {
        self.snapshots.borrow().clone()
    }

    /// Its chain at this moment. Blocks the thread for the time of a read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn chain(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
        self.chain.snapshot()
    }

    /// A payment that waits here.
    pub fn waiting(&self, id: &TxId) -> Option<Waiting> {
        self.mempool.get(id)
    }

    /// Some of the payments that wait, by sender and sequence, at most [`MOST_WAITING`]. One
    /// question at a time goes to the actor. `None` when the node is going down.
    pub async fn list_waiting(
        &self,
        after: Option<(Address, Sequence)>,
        limit: usize,
    ) -> Option<Vec<Waiting>> {
        let _turn = self.listing.acquire().await.ok()?;
        let limit = limit.min(MOST_WAITING);
        let question = ListWaiting { after, limit };
        self.ports.waiting.send(question).await.ok()
    }

    /// Hands a payment in, by the rules that hold for one from the network, and announces it
    /// once if it is new. `None` when the node is going down.
    pub async fn submit(
        &self,
        transaction: Transaction,
        from: SocketAddr,
    ) -> Option<Result<TxId, Refusal>> {
        let Ok(_turn) = self.submitting.try_acquire() else {
            return Some(Err(Refusal::Busy));
        };
        let submitted = self.ports.submit.send(SubmitTransaction {
            transaction: Arc::new(transaction),
            source: TransactionSource::Peer(from),
        });
        let answer = submitted.await.ok()?;
        if let Ok(id) = &answer
            && let Some(waiting) = self.mempool.get(id)
        {
            let transactions = vec![waiting.payment.transaction().clone()];
            self.ports.announce.do_send(PaymentPending { transactions });
        }
        Some(answer)
    }

    /// A payment that was made on this home, where this node has one.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub fn own_payment(&self, id: &TxId) -> Result<Option<Arc<Transaction>>, WalletError> {
        let Some(own) = &self.own else {
            return Ok(None);
        };
        let saved = own.wallet.outbox().get(id)?;
        Ok(saved.map(|saved| saved.transaction))
    }

    /// What `mvb wallet why` says of a payment; `None` if it is not of this home. Reads files,
    /// so it blocks the thread.
    ///
    /// # Errors
    /// When the home cannot be read.
    pub fn why(&self, id: &TxId, now: Timestamp) -> Result<Option<Why>, WalletError> {
        let Some(own) = &self.own else {
            return Ok(None);
        };
        let resident = resident::read(&own.home, now)?;
        match own.wallet.why(id, &resident, now) {
            Err(WalletError::UnknownPayment { .. }) => Ok(None),
            why => why.map(Some),
        }
    }
}
