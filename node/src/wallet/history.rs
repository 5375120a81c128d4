//! The history of an address: what waits, then what the chain holds, the newest first.

use super::{PaymentState, Wallet, WalletError, payments::confirmed_at};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::Block,
    chain::{ChainSnapshot, HistoryEntry, HistoryKind, StoreError, TxLocation},
    hash::TxId,
    numbers::{Height, Sequence, Timestamp},
    transaction::Transaction,
};

/// Which part of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only what stands before this on the chain; `None` for the newest, with what waits.
    pub before: Option<TxLocation>,
    /// At most so many lines of the chain.
    pub limit: usize,
}

/// A line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// How the address took part.
    pub kind: HistoryKind,
    /// Where it stands.
    pub state: PaymentState,
    /// Where on the chain, for the next page; `None` while it waits.
    pub location: Option<TxLocation>,
    /// The payment; `None` for a reward.
    pub id: Option<TxId>,
    /// Who paid; `None` for a reward.
    pub from: Option<Address>,
    /// Who was paid.
    pub to: Address,
    /// The amount; of a reward with the block's fees.
    pub amount: Amount,
    /// The fee the sender gave.
    pub fee: Amount,
    /// The sender's sequence; `None` for a reward.
    pub sequence: Option<Sequence>,
    /// When it was made, by its sender's or its block's clock.
    pub timestamp: Timestamp,
}

impl Wallet {
    /// A page of an address's history, which need not be of this home.
    ///
    /// # Errors
    /// When the outbox or the chain cannot be read.
    pub fn history(&self, address: &Address, page: Page) -> Result<Vec<HistoryLine>, WalletError> {
        let mut lines = Vec::new();
        let chain = self.snapshot()?;
        if page.before.is_none() {
            self.add_waiting(address, &*chain, &mut lines)?;
        }
        let tip = chain.tip()?.height;
        let mut block: Option<(Height, Block)> = None;
        for entry in chain.history(address, page.before, page.limit)? {
            let height = entry.location.height;
            if block.as_ref().is_none_or(|(at, _)| *at != height) {
                block = Some((height, block_at(&*chain, height)?));
            }
            let (_, block) = block.as_ref().expect("it was just loaded");
            lines.push(line_of(block, &entry, confirmed_at(height, tip)));
        }
        Ok(lines)
    }

    fn add_waiting(
        &self,
        address: &Address,
        chain: &dyn ChainSnapshot,
        lines: &mut Vec<HistoryLine>,
    ) -> Result<(), WalletError> {
        for payment in self.outbox.unsettled()?.iter().rev() {
            let transaction = &payment.transaction;
            let kind = match (transaction.from() == *address, transaction.to == *address) {
                (true, true) => HistoryKind::SentToSelf,
                (true, false) => HistoryKind::Sent,
                (false, true) => HistoryKind::Received,
                (false, false) => continue,
            };
            let state = self.state_of(payment, chain)?;
            if !matches!(state, PaymentState::Confirmed { .. }) {
                lines.push(line_of_payment(transaction, kind, state));
            }
        }
        Ok(())
    }
}

fn block_at(chain: &dyn ChainSnapshot, height: Height) -> Result<Block, StoreError> {
    let damaged = || StoreError::Damaged {
        what: format!("block at height {height}"),
    };
    let id = chain.active_id(height)?.ok_or_else(damaged)?;
    chain.block(&id)?.ok_or_else(damaged)
}

/// A reward stands after the last payment of its block.
fn line_of(block: &Block, entry: &HistoryEntry, state: PaymentState) -> HistoryLine {
    let mut line = match block.transactions.get(entry.location.index as usize) {
        Some(transaction) => line_of_payment(transaction, entry.kind, state),
        None => HistoryLine {
            kind: entry.kind,
            state,
            location: None,
            id: None,
            from: None,
            to: block.reward.to,
            amount: block.reward.amount,
            fee: Amount::ZERO,
            sequence: None,
            timestamp: block.header.timestamp,
        },
    };
    line.location = Some(entry.location);
    line
}

fn line_of_payment(
    transaction: &Transaction,
    kind: HistoryKind,
    state: PaymentState,
) -> HistoryLine {
    HistoryLine {
        kind,
        state,
        location: None,
        id: Some(transaction.id()),
        from: Some(transaction.from()),
        to: transaction.to,
        amount: transaction.amount,
        fee: transaction.fee,
        sequence: Some(transaction.sequence),
        timestamp: transaction.timestamp,
    }
}
