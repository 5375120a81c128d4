//! The people who use a simulated network: one on each machine, with a key, who now and
//! then pay each other real, signed payments out of what their own node has confirmed. Two of
//! them may share a key, and some reuse a sequence; then only one of their payments can win.

use crate::cluster::Machine;
use mvb_actors::env::RandomStream;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::{ChainStore, StoreError},
    hash::{GenesisId, TxId, sha256},
    keys::{Curve, SecretKey},
    numbers::{Sequence, Timestamp},
    transaction::{Payment, Transaction},
};
use std::{collections::BTreeMap, sync::Arc};

/// The fee of most payments, in units.
const FEE: u64 = 1_000;

/// Everybody, and every payment they made.
pub struct People {
    keys: Vec<(SecretKey, Address)>,
    made: BTreeMap<TxId, Arc<Transaction>>,
}

impl People {
    /// One person a machine. Their keys are the same in every run; if `shares`, the last one
    /// uses the first one's.
    pub fn new(machines: usize, shares: bool) -> Self {
        let keys = (0..machines)
            .map(|machine| {
                let machine = if shares && machine + 1 == machines {
                    0
                } else {
                    machine
                };
                let secret = sha256(&[b"simulated person", &machine.to_be_bytes()]);
                let key = SecretKey::from_bytes(Curve::P256, &secret)
                    .expect("one hash in 2^32 is outside the curve's order, and not these");
                let address = Address::of_key(key.public_key().as_bytes());
                (key, address)
            })
            .collect();
        Self {
            keys,
            made: BTreeMap::new(),
        }
    }

    /// Everybody's addresses in order of their machines.
    pub fn addresses(&self) -> Vec<Address> {
        self.keys.iter().map(|(_, address)| *address).collect()
    }

    /// Everybody's keys and addresses.
    pub fn keys(&self) -> &[(SecretKey, Address)] {
        &self.keys
    }

    /// Every payment made so far.
    pub fn made(&self) -> &BTreeMap<TxId, Arc<Transaction>> {
        &self.made
    }

    /// The person on a machine pays somebody, if the confirmed balance less the pending
    /// payments allows it. The payment waits in the machine's outbox from then on. One that
    /// `reuses` takes the account's sequence though another payment with it may wait.
    ///
    /// # Errors
    /// When the machine's store cannot be read.
    pub fn pay(
        &mut self,
        number: usize,
        machine: &Machine,
        genesis: GenesisId,
        timestamp: Timestamp,
        random: &RandomStream,
        reuses: bool,
    ) -> Result<Option<TxId>, StoreError> {
        let (key, address) = &self.keys[number];
        let chain = machine.disk.snapshot()?;
        let account = chain.account(address)?;
        let mut sequence = account.sequence;
        let mut pending = 0;
        for payment in machine.outbox.payments() {
            if !reuses && payment.from() == *address {
                sequence = sequence.max(Sequence(payment.sequence.0 + 1));
            }
            if chain.transaction(&payment.id())?.is_none() {
                pending += payment.amount.units() + payment.fee.units();
            }
        }
        let fee = FEE + random.below(FEE);
        let available = account.balance.units().saturating_sub(pending);
        let amount = 1 + random.below(available / 3);
        if amount + fee > available {
            return Ok(None);
        }
        let (_, to) = &self.keys[random.below(self.keys.len() as u64) as usize];
        let payment = Payment {
            genesis,
            to: *to,
            amount: Amount::from_units(amount),
            fee: Amount::from_units(fee),
            sequence,
            timestamp,
        };
        let payment = Arc::new(payment.sign(key));
        let id = payment.id();
        self.made.insert(id, payment.clone());
        machine.outbox.push(payment);
        Ok(Some(id))
    }

    /// A payment that a thief of the key makes: of one unit, without much of a fee.
    pub fn worthless(
        &self,
        key: &SecretKey,
        to: Address,
        genesis: GenesisId,
        sequence: Sequence,
    ) -> Transaction {
        Payment {
            genesis,
            to,
            amount: Amount::from_units(1),
            fee: Amount::from_units(1),
            sequence,
            timestamp: Timestamp(0),
        }
        .sign(key)
    }
}
