//! One way or several to break each rule of a block that is otherwise valid, and people who
//! make payments. What is broken in the end is the model's to say: this file only tries.

use crate::{
    Random,
    chain::{payment, secret},
    model::{Ledger, Model, Rule},
};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::Block,
    hash::{BlockId, ContentRoot, GenesisId},
    keys::{Curve, PublicKey, SecretKey, Signature},
    numbers::{Height, Sequence, Timestamp},
    target::CompactTarget,
    transaction::{Payment, Transaction},
};

/// Somebody who pays: with a real key, or with one that is no point of its curve and whose
/// payments count as verified before.
pub struct Person {
    pub key: PublicKey,
    secret: Option<SecretKey>,
}

impl Person {
    pub fn real(number: u8) -> Self {
        let curve = match number {
            3 => Curve::P384,
            4 => Curve::P521,
            _ => Curve::P256,
        };
        let secret = secret(curve, &format!("person {number}"));
        Self {
            key: secret.public_key(),
            secret: Some(secret),
        }
    }

    pub fn invented(number: u8) -> Self {
        let curve = match number {
            3 => Curve::P384,
            4 => Curve::P521,
            _ => Curve::P256,
        };
        let mut bytes = vec![0xff; curve.public_key_bytes()];
        (bytes[0], bytes[curve.scalar_bytes()]) = (2, number);
        Self {
            key: PublicKey::from_bytes(&bytes).expect("its form is right"),
            secret: None,
        }
    }

    pub fn address(&self) -> Address {
        Address::of_key(self.key.as_bytes())
    }

    /// Signs, and lets the model know.
    pub fn sign(&self, model: &mut Model, said: Payment) -> Transaction {
        let transaction = match &self.secret {
            Some(secret) => said.sign(secret),
            None => Transaction {
                genesis: said.genesis,
                to: said.to,
                amount: said.amount,
                fee: said.fee,
                sequence: said.sequence,
                timestamp: said.timestamp,
                key: self.key.clone(),
                signature: signature(&vec![1; self.key.curve().signature_bytes()]),
            },
        };
        model.signed.insert(transaction.wid());
        transaction
    }
}

fn signature(bytes: &[u8]) -> Signature {
    Signature::from_bytes(bytes).expect("the length is a curve's")
}

/// The order of a curve's group and the prime of its field, from FIPS 186-4.
pub fn order_and_field(curve: Curve) -> (Vec<u8>, Vec<u8>) {
    let (order, field) = match curve {
        Curve::P256 => (
            "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
            "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        ),
        Curve::P384 => (
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
        ),
        Curve::P521 => (
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ),
    };
    let bytes = |text| hex::decode(text).expect("hex");
    (bytes(order), bytes(field))
}

/// A block before it is sealed.
pub struct Draft {
    pub block: Block,
    /// The reward is to be what the height and the fees give.
    pub right_reward: bool,
    /// The header is to commit to the body.
    pub right_root: bool,
    /// The id is to be below the target.
    pub solved: bool,
}

impl Draft {
    /// Breaks a rule, or says that this block cannot break it.
    pub fn break_rule(
        &mut self,
        rule: Rule,
        random: &mut Random,
        people: &[Person],
        model: &mut Model,
    ) -> bool {
        let past = model.chain_of(&self.block.header.previous).last().copied();
        let header = &mut self.block.header;
        match rule {
            Rule::UnknownParent | Rule::Link => {
                header.previous = BlockId([random.next() as u8; 32])
            }
            Rule::Height => {
                let height = header.height.0;
                header.height = Height(random.pick(&[
                    0,
                    1,
                    height.wrapping_sub(1),
                    height.wrapping_add(1),
                    u64::MAX,
                ]));
            }
            Rule::Version => header.version = random.pick(&[0, 2, u32::MAX]),
            Rule::Target => header.target = another_target(header.target, random),
            Rule::ProofOfWork => self.solved = false,
            Rule::TooEarly => {
                let (time, _) = past.unwrap_or_default();
                let earlier = random.pick(&[time, time.saturating_sub(1), 0]);
                header.timestamp = Timestamp(earlier);
            }
            Rule::TooFarAhead => {
                let most = model.now + model.params.max_future_ms();
                header.timestamp = Timestamp(random.pick(&[most + 1, 2 * most, u64::MAX]));
            }
            Rule::ContentRoot => self.right_root = false,
            Rule::Reward => self.right_reward = false,
            Rule::RewardCredit => return self.overflow_the_reward(random, people, model),
            _ => return self.break_body(rule, random, people, model),
        }
        true
    }

    fn break_body(
        &mut self,
        rule: Rule,
        random: &mut Random,
        people: &[Person],
        model: &mut Model,
    ) -> bool {
        let payments = &mut self.block.transactions;
        match rule {
            Rule::TooFewPayments => {
                let least = model.params.block_size as usize - 1;
                payments.truncate(random.below(least.max(1) as u64) as usize);
                return least > 0 && self.block.header.height.0 > 1;
            }
            Rule::TooLarge | Rule::TooHeavy => {
                let count = if rule == Rule::TooLarge { 6 } else { 1_025 };
                let most = model.params.max_block_bytes;
                if (rule == Rule::TooLarge) != (most < 10_000) {
                    return false;
                }
                let heavy = Person::invented(4);
                let from = random.next();
                payments.extend((0..count).map(|i| {
                    let sequence = Sequence((from >> 1) + i);
                    let said = payment(&model.params, Address::default(), 1, 0, sequence);
                    heavy.sign(model, said)
                }));
                return true;
            }
            _ => {}
        }
        let Some(index) = (!payments.is_empty()).then(|| random.below(payments.len() as u64))
        else {
            return false;
        };
        let index = index as usize;
        let old = payments[index].clone();
        let owner = people.iter().find(|person| person.key == old.key);
        let mut said = old.payment();
        match rule {
            Rule::Duplicate => {
                let mut again = old.clone();
                if random.below(2) == 0 {
                    again.signature = signature(&vec![3; old.signature.as_bytes().len()]);
                }
                let at = random.below(payments.len() as u64 + 1) as usize;
                payments.insert(at, again);
                return true;
            }
            Rule::Genesis => said.genesis = GenesisId([random.next() as u8; 32]),
            Rule::NoAmount => said.amount = Amount::ZERO,
            Rule::TooMuch => {
                let most = i64::MAX as u64;
                let choices = [(most, 1), (1, most), (u64::MAX, u64::MAX), (u64::MAX, 1)];
                let (amount, fee) = random.pick(&choices);
                (said.amount, said.fee) = (Amount::from_units(amount), Amount::from_units(fee));
            }
            Rule::LastSequence => said.sequence = Sequence(u64::MAX),
            Rule::Sequence => {
                let sequence = said.sequence.0;
                let (less, more) = (sequence.saturating_sub(1), sequence.saturating_add(1));
                let choices = [more, less, 0, u64::MAX - 1];
                said.sequence = Sequence(random.pick(&choices));
            }
            Rule::Balance => {
                let ledger = model.ledger(&self.block.header.previous);
                let most = ledger.get(&old.from()).map_or(0, |account| account.0) as u64;
                let much = random.pick(&[most, most.saturating_add(1), i64::MAX as u64 - 1]);
                said.amount = Amount::from_units(much.clamp(1, i64::MAX as u64 - 1));
                said.fee = Amount::from_units(1);
            }
            Rule::Overflow => {
                let (from, to) = (&people[0], people[1].address());
                let next = sequence_of(
                    &payments[..],
                    model.ledger(&self.block.header.previous),
                    from,
                );
                let said = payment(&model.params, to, 1 << 62, 0, Sequence(next));
                payments.push(from.sign(model, said));
                return !model.genesis.is_empty();
            }
            _ => {
                payments[index] = with_broken_signature(rule, old, random);
                return true;
            }
        }
        let Some(owner) = owner else { return false };
        payments[index] = owner.sign(model, said);
        true
    }

    /// The reward of a cracked chain, in which the fees or a balance take all there is room for.
    fn overflow_the_reward(
        &mut self,
        random: &mut Random,
        people: &[Person],
        model: &mut Model,
    ) -> bool {
        if model.genesis.is_empty() {
            return false;
        }
        if random.below(2) == 0 {
            self.block.reward.to = people[random.below(2) as usize].address();
            return true;
        }
        let previous = self.block.header.previous;
        for payer in [0, 0, 1] {
            let payer = &people[payer];
            let next = sequence_of(&self.block.transactions, model.ledger(&previous), payer);
            let most = i64::MAX as u64 - 4_000_000;
            let to = people[2].address();
            let said = payment(&model.params, to, 1, most, Sequence(next));
            self.block.transactions.push(payer.sign(model, said));
        }
        true
    }

    /// The block, sealed as far as it is to be.
    pub fn seal(mut self, random: &mut Random, model: &Model) -> Block {
        let (params, block) = (&model.params, &mut self.block);
        let fees = block
            .transactions
            .iter()
            .map(|tx| u128::from(tx.fee.units()));
        let right = u128::from(params.subsidy(block.header.height).units()) + fees.sum::<u128>();
        let right = right as u64;
        block.reward.amount = Amount::from_units(if self.right_reward {
            right
        } else {
            let wrong = [
                right.wrapping_add(1),
                right.wrapping_sub(1),
                0,
                right.wrapping_mul(2),
            ];
            random.pick(&wrong)
        });
        block.header.content_root = block.content_root(params.genesis_id(), &block.wids());
        if !self.right_root {
            match random.below(4) {
                0 => block.header.content_root = ContentRoot([random.next() as u8; 32]),
                1 => block.reward.extra_nonce += 1,
                2 if block.transactions.pop().is_some() => {}
                _ => block.header.content_root.0[random.below(32) as usize] ^= 1,
            }
        }
        block.header.nonce = random.next() >> 1;
        // Some targets of this file nothing meets.
        for _ in 0..2_000 {
            let target = block.header.target.expand();
            if target.is_some_and(|target| target.is_met_by(&block.id())) == self.solved {
                break;
            }
            block.header.nonce += 1;
        }
        self.block
    }
}

/// The sequence of a person's next payment after those of a block.
fn sequence_of(payments: &[Transaction], ledger: &Ledger, person: &Person) -> u64 {
    let before = ledger.get(&person.address()).map_or(0, |account| account.1);
    let own = payments.iter().filter(|tx| tx.key == person.key);
    before.saturating_add(own.count() as u64)
}

/// Easier, harder, or the same number written in another way.
fn another_target(right: CompactTarget, random: &mut Random) -> CompactTarget {
    let (size, digits) = (right.0 >> 24, right.0 & 0x00ff_ffff);
    CompactTarget(match random.below(5) {
        0 => size << 24 | digits >> 1,
        1 => size << 24 | digits << 1 & 0x00ff_ffff,
        2 => (size + 1) << 24 | digits >> 8,
        3 => right.0 ^ 1 << random.below(32),
        _ => random.next() as u32,
    })
}

fn with_broken_signature(rule: Rule, mut tx: Transaction, random: &mut Random) -> Transaction {
    let curve = tx.key.curve();
    let half = curve.scalar_bytes();
    let (order, field) = order_and_field(curve);
    let mut bytes = tx.signature.as_bytes().to_vec();
    if bytes.len() != 2 * half {
        // Its length is broken already.
        return tx;
    }
    let number = |value: &[u8]| [&vec![0; half - value.len()], value].concat();
    match rule {
        Rule::SignatureLength => {
            let other = random.pick(&Curve::ALL);
            let other = if other == curve {
                64
            } else {
                other.signature_bytes()
            };
            bytes = vec![1; if other == 2 * half { 96 } else { other }];
        }
        Rule::SignatureRange => {
            let value = random.pick(&[0, 1, 2]);
            let value = [number(&[]), order.clone(), vec![0xff; half]][value].clone();
            let at = random.pick(&[0, half]);
            bytes[at..at + half].copy_from_slice(&value);
        }
        Rule::HighS => {
            // The order less s, digit by digit.
            let mut borrow = 0;
            for i in (0..half).rev() {
                let digit = i16::from(order[i]) - i16::from(bytes[half + i]) - borrow;
                borrow = i16::from(digit < 0);
                bytes[half + i] = digit.rem_euclid(256) as u8;
            }
        }
        Rule::KeyPoint => {
            let mut key = tx.key.as_bytes().to_vec();
            key[1..].copy_from_slice(&field);
            tx.key = PublicKey::from_bytes(&key).expect("its form is right");
        }
        _ => match random.below(3) {
            0 => tx.fee = Amount::from_units(tx.fee.units() ^ 1),
            1 => tx.timestamp = Timestamp(tx.timestamp.0 ^ 1),
            _ => bytes[half - 1] ^= 1,
        },
    }
    tx.signature = signature(&bytes);
    tx
}
