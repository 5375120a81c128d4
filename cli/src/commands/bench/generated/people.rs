//! Those who pay each other on a generated chain. First one of them, who gets the first reward,
//! gives everybody something; then they pay in turns, each time somebody else, and at times the
//! one who gave, who so has a history of a twentieth of all payments. A payment follows from its
//! number alone, so that they can be signed in any order.

use mvb_protocol::{
    address::Address,
    amount::Amount,
    hash::{GenesisId, sha256},
    keys::{Curve, SecretKey},
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::{Payment, Transaction},
};

/// The most of them.
const MOST: u64 = 10_000;

/// About how many payments each makes, when there are fewer than the most.
const PAYMENTS_EACH: u64 = 100;

/// Of so many payments one goes to the giver.
const TO_GIVER: u64 = 20;

/// What each is given.
const GIVEN: u64 = 900_000_000;

/// The fee of every payment.
const FEE: Amount = Amount::from_units(1_000);

/// All of them.
pub struct People {
    genesis: GenesisId,
    keys: Vec<SecretKey>,
    addresses: Vec<Address>,
}

impl People {
    /// As many as a chain with so many payments has use for.
    pub fn usual(payments: u64) -> u64 {
        (payments / PAYMENTS_EACH).clamp(2, MOST)
    }

    /// So many, at least two.
    pub fn new(params: &ChainParams, count: u64) -> Self {
        let count = count.max(2);
        let keys: Vec<SecretKey> = (0..count).map(key).collect();
        Self {
            genesis: params.genesis_id(),
            addresses: keys
                .iter()
                .map(|key| Address::of_key(key.public_key().as_bytes()))
                .collect(),
            keys,
        }
    }

    /// The address of one of them.
    pub fn address(&self, number: u64) -> Address {
        self.addresses[(number % self.count()) as usize]
    }

    /// Who gets the reward of a block: the giver first.
    pub fn rewarded(&self, height: u64) -> Address {
        self.address(height.saturating_sub(1))
    }

    /// The payment of a number.
    pub fn payment(&self, number: u64, timestamp: Timestamp) -> Transaction {
        let gifts = self.count() - 1;
        let (from, to, amount, sequence) = match number.checked_sub(gifts) {
            None => (0, number + 1, GIVEN, number),
            Some(turn) => {
                let (round, from) = (turn / self.count(), turn % self.count());
                let to = match turn % TO_GIVER {
                    7 if from != 0 => 0,
                    _ => (from + 1 + round % gifts) % self.count(),
                };
                // Amounts differ as those of people do.
                let amount = 1_000_000 + turn.wrapping_mul(2_654_435_761) % 1_000_003;
                let before = if from == 0 { gifts } else { 0 };
                (from, to, amount, before + round)
            }
        };
        let payment = Payment {
            genesis: self.genesis,
            to: self.address(to),
            amount: Amount::from_units(amount),
            fee: FEE,
            sequence: Sequence(sequence),
            timestamp,
        };
        payment.sign(&self.keys[from as usize])
    }

    fn count(&self) -> u64 {
        self.addresses.len() as u64
    }
}

/// The key of a number. Everybody knows it; it opens nothing but a generated chain.
fn key(number: u64) -> SecretKey {
    let secret = sha256(&[b"mvb bench", &number.to_be_bytes()]);
    SecretKey::from_bytes(Curve::P256, &secret)
        .expect("that the hash of a small number is out of range has a chance of 2^-32")
}
