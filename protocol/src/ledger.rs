//! The ledger's arithmetic: applying blocks to accounts and taking them back.
//!
//! A [`Ledger`] is an overlay above a snapshot; nothing is written until its changes are
//! committed. Taking a block back is exact arithmetic in reverse, so no undo records are
//! kept: every change a payment makes is an addition, a subtraction and one step of a sequence.

use crate::{
    address::Address,
    amount::{Amount, AmountError},
    block::Block,
    chain::{Account, ChainSnapshot, StoreError},
    mutant,
    numbers::Sequence,
    params::ChainParams,
    transaction::{Transaction, Verified},
    validate::{BlockError, CheckedBlock, ValidationError, expected_reward},
};
use std::collections::BTreeMap;

/// Why a payment does not fit the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It is not the sender's next payment.
    #[error("sequence {got}, expected {expected}")]
    Sequence {
        /// Its sequence.
        got: Sequence,
        /// The sender's next.
        expected: Sequence,
    },
    /// The sender has too little.
    #[error("balance {balance} does not cover {needed}")]
    Balance {
        /// What the sender has.
        balance: Amount,
        /// Amount and fee.
        needed: Amount,
    },
    /// A sum does not fit an amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// Accounts as they would be after some blocks were applied or taken back.
pub struct Ledger<'a> {
    base: &'a dyn ChainSnapshot,
    changed: BTreeMap<Address, Account>,
}

/// The changes of one block or payment, thrown away whole when a rule is broken.
struct Step<'l, 'a> {
    ledger: &'l Ledger<'a>,
    changed: BTreeMap<Address, Account>,
}

/// A rule broken by one payment, or a store that failed.
enum StepError {
    Rule(LedgerError),
    Store(StoreError),
}

impl From<LedgerError> for StepError {
    fn from(error: LedgerError) -> Self {
        Self::Rule(error)
    }
}

impl From<AmountError> for StepError {
    fn from(error: AmountError) -> Self {
        Self::Rule(error.into())
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Step<'_, '_> {
    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        match self.changed.get(address) {
            Some(account) => Ok(*account),
            None => self.ledger.account(address),
        }
    }

    fn update(
        &mut self,
        address: Address,
        change: impl FnOnce(&mut Account) -> Result<(), LedgerError>,
    ) -> Result<(), StepError> {
        let mut account = self.account(&address)?;
        change(&mut account)?;
        self.changed.insert(address, account);
        Ok(())
    }

    /// Check, debit, then credit, so that paying oneself changes nothing but the fee and
    /// the sequence.
    fn pay(&mut self, transaction: &Transaction, from: Address) -> Result<(), StepError> {
        let needed = transaction.total()?;
        self.update(from, |account| {
            let next = account
                .sequence
                .next()
                .filter(|_| transaction.sequence == account.sequence || mutant!(SequenceUnchecked))
                .ok_or(LedgerError::Sequence {
                    got: transaction.sequence,
                    expected: account.sequence,
                })?;
            if account.balance < needed && !mutant!(BalanceUnchecked) {
                return Err(LedgerError::Balance {
                    balance: account.balance,
                    needed,
                });
            }
            account.balance = match mutant!(BalanceUnchecked) {
                false => account.balance.checked_sub(needed)?,
                true => account.balance.saturating_sub(needed),
            };
            account.sequence = next;
            Ok(())
        })?;
        self.credit(transaction.to, transaction.amount)
    }

    fn credit(&mut self, to: Address, amount: Amount) -> Result<(), StepError> {
        self.update(to, |account| {
            account.balance = account.balance.checked_add(amount)?;
            Ok(())
        })
    }

    fn debit(&mut self, from: Address, amount: Amount) -> Result<(), StepError> {
        self.update(from, |account| {
            account.balance = account.balance.checked_sub(amount)?;
            Ok(())
        })
    }

    fn take_back(&mut self, transaction: &Transaction) -> Result<(), StepError> {
        self.debit(transaction.to, transaction.amount)?;
        let needed = transaction.total()?;
        self.update(transaction.from(), |account| {
            account.balance = account.balance.checked_add(needed)?;
            if transaction.sequence.next() != Some(account.sequence) && !mutant!(UndoKeepsSequences)
            {
                return Err(LedgerError::Sequence {
                    got: transaction.sequence,
                    expected: account.sequence,
                });
            }
            if !mutant!(UndoKeepsSequences) {
                account.sequence = transaction.sequence;
            }
            Ok(())
        })
    }
}

impl<'a> Ledger<'a> {
    /// The ledger as the snapshot has it.
    pub fn new(base: &'a dyn ChainSnapshot) -> Self {
        Self {
            base,
            changed: BTreeMap::new(),
        }
    }

    /// An account as it now stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account(&self, address: &Address) -> Result<Account, StoreError> {
        match self.changed.get(address) {
            Some(account) => Ok(*account),
            None => self.base.account(address),
        }
    }

    /// Every account touched so far, with its state.
    pub fn into_accounts(self) -> BTreeMap<Address, Account> {
        self.changed
    }

    fn step(&self) -> Step<'_, 'a> {
        Step {
            ledger: self,
            changed: BTreeMap::new(),
        }
    }

    /// Applies one payment, or changes nothing.
    ///
    /// # Errors
    /// The inner error says why the payment does not fit; the outer that the store failed.
    pub fn apply_transaction(
        &mut self,
        transaction: Verified<&Transaction>,
    ) -> Result<Result<(), LedgerError>, StoreError> {
        let mut step = self.step();
        match step.pay(&transaction, transaction.from()) {
            Ok(()) => {
                let changed = step.changed;
                self.changed.extend(changed);
                Ok(Ok(()))
            }
            Err(StepError::Rule(error)) => Ok(Err(error)),
            Err(StepError::Store(error)) => Err(error),
        }
    }

    /// Applies a block: its payments in order, then its reward. Changes nothing when a
    /// rule is broken.
    ///
    /// # Errors
    /// Names the first payment or the reward that does not fit.
    pub fn apply_block(
        &mut self,
        block: &Verified<CheckedBlock>,
        params: &ChainParams,
    ) -> Result<(), ValidationError> {
        let mut step = self.step();
        let senders = block.senders().iter();
        for (index, (transaction, from)) in block.transactions().zip(senders).enumerate() {
            step.pay(&transaction, *from).map_err(|error| match error {
                StepError::Rule(error) => BlockError::Ledger { index, error }.into(),
                StepError::Store(error) => ValidationError::Store(error),
            })?;
        }
        let body = block.block();
        let reward_error = |error| BlockError::RewardCredit { error };
        let expected = expected_reward(params, body.header.height, &body.transactions)
            .map_err(reward_error)?;
        let got = body.reward.amount;
        if got != expected && !mutant!(RewardUnchecked) {
            return Err(BlockError::Reward { got, expected }.into());
        }
        step.credit(body.reward.to, got)
            .map_err(|error| match error {
                StepError::Rule(error) => ValidationError::Rule(reward_error(error)),
                StepError::Store(error) => ValidationError::Store(error),
            })?;
        let changed = step.changed;
        self.changed.extend(changed);
        Ok(())
    }

    /// Takes back the block that was applied last.
    ///
    /// # Errors
    /// When the store fails, or its accounts do not follow from its blocks.
    pub fn undo_block(&mut self, block: &Block) -> Result<(), StoreError> {
        let damaged = |error: StepError| match error {
            StepError::Store(error) => error,
            StepError::Rule(error) => StoreError::Damaged {
                what: format!("accounts do not follow from block {}: {error}", block.id()),
            },
        };
        let mut step = self.step();
        if !mutant!(UndoKeepsReward) {
            step.debit(block.reward.to, block.reward.amount)
                .map_err(damaged)?;
        }
        for transaction in block.transactions.iter().rev() {
            step.take_back(transaction).map_err(damaged)?;
        }
        let changed = step.changed;
        self.changed.extend(changed);
        Ok(())
    }
}
