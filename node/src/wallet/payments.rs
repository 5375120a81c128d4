//! What the chain says of the saved payments: which are pending, what is confirmed, and
//! what each address may still spend.

use super::{
    KeyName, Wallet, WalletError,
    key_store::{KeyFileError, KeyWarning},
    outbox::{SavedPayment, current},
};
use mvb_protocol::{
    address::Address,
    amount::{Amount, UNITS_PER_COIN},
    chain::{Account, ChainSnapshot},
    hash::TxId,
    keys::Curve,
    numbers::Height,
};
use std::{fmt, path::PathBuf};

/// A payment's place between being saved and being settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// It is not in a block yet.
    Pending,
    /// It was in a block that left the active chain, and is pending again.
    Orphaned {
        /// The height of that block.
        height: Height,
    },
    /// It is on the active chain.
    Confirmed {
        /// Its block's height.
        height: Height,
        /// The blocks from its own to the tip; 1 in the tip itself.
        depth: u64,
    },
    /// Another payment with its sequence takes or took its place.
    Superseded {
        /// That payment, where this home knows it.
        by: Option<TxId>,
    },
}

/// What an address is about to give and get by payments of this home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Amounts and fees it gives.
    pub outgoing: Amount,
    /// Amounts it gets.
    pub incoming: Amount,
    /// Of what it gives, what comes back because it pays itself.
    pub to_itself: Amount,
}

/// A line of `list-addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressLine {
    /// The key's name.
    pub name: KeyName,
    /// Its address.
    pub address: Address,
    /// Its curve.
    pub curve: Curve,
    /// Whether a passphrase protects it.
    pub encrypted: bool,
    /// What the chain says it has.
    pub balance: Amount,
    /// What is about to change.
    pub pending: Pending,
    /// What its owner should know of its file.
    pub warnings: Vec<KeyWarning>,
}

/// Everything in the key store.
#[derive(Debug, Default)]
pub struct AddressList {
    /// The keys that can be used, by name.
    pub addresses: Vec<AddressLine>,
    /// The `.pem` files that are no usable keys, and why.
    pub problems: Vec<(PathBuf, KeyFileError)>,
}

impl Wallet {
    /// Every address of the key store with its balance, and the files that are no keys.
    ///
    /// # Errors
    /// When the folder, the outbox or the chain cannot be read; a bad file is no error.
    pub fn addresses(&self) -> Result<AddressList, WalletError> {
        let listing = self.keys.list()?;
        let saved = self.outbox.unsettled()?;
        let chain = self.snapshot()?;
        let waiting = waiting(&saved, &*chain)?;
        let mut addresses = Vec::with_capacity(listing.keys.len());
        for key in listing.keys {
            let address = key.address();
            addresses.push(AddressLine {
                address,
                curve: key.curve(),
                encrypted: key.encrypted,
                balance: chain.account(&address)?.balance,
                pending: pending_of(&address, waiting.iter().copied())?,
                name: key.name,
                warnings: key.warnings,
            });
        }
        Ok(AddressList {
            addresses,
            problems: listing.problems,
        })
    }

    /// An address's confirmed balance and next sequence.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub fn account(&self, address: &Address) -> Result<Account, WalletError> {
        Ok(self.snapshot()?.account(address)?)
    }

    /// What an address is about to give and get.
    ///
    /// # Errors
    /// When the outbox or the chain cannot be read.
    pub fn pending(&self, address: &Address) -> Result<Pending, WalletError> {
        let saved = self.outbox.unsettled()?;
        let chain = self.snapshot()?;
        pending_of(address, waiting(&saved, &*chain)?)
    }

    /// Where a payment stands, whether it was made here or only seen on the chain.
    ///
    /// # Errors
    /// When neither knows it, or either cannot be read.
    pub fn state(&self, id: &TxId) -> Result<PaymentState, WalletError> {
        let saved = self.outbox.get(id)?;
        let chain = self.snapshot()?;
        match saved {
            Some(saved) => self.state_of(&saved, &*chain),
            None => confirmed(id, &*chain)?.ok_or(WalletError::UnknownPayment { id: *id }),
        }
    }

    pub(super) fn state_of(
        &self,
        payment: &SavedPayment,
        chain: &dyn ChainSnapshot,
    ) -> Result<PaymentState, WalletError> {
        if let Some(state) = confirmed(&payment.id, chain)? {
            return Ok(state);
        }
        let (sender, sequence) = (payment.transaction.from(), payment.transaction.sequence);
        let rivals = self.outbox.with_sequence(&sender, sequence)?;
        if chain.account(&sender)?.sequence > sequence {
            for rival in &rivals {
                if chain.transaction(&rival.id)?.is_some() {
                    return Ok(PaymentState::Superseded { by: Some(rival.id) });
                }
            }
            return Ok(PaymentState::Superseded { by: None });
        }
        Ok(match (rivals.last(), payment.seen) {
            (Some(newest), _) if newest.id != payment.id => PaymentState::Superseded {
                by: Some(newest.id),
            },
            (_, Some(seen)) => PaymentState::Orphaned {
                height: seen.height,
            },
            (_, None) => PaymentState::Pending,
        })
    }
}

/// Of the saved payments those that are still to be confirmed, the oldest first.
pub(super) fn waiting<'s>(
    saved: &'s [SavedPayment],
    chain: &dyn ChainSnapshot,
) -> Result<Vec<&'s SavedPayment>, WalletError> {
    let mut waiting = Vec::new();
    for payment in current(saved) {
        // Once the account has gone past its sequence, it or another is on the chain.
        let account = chain.account(&payment.transaction.from())?;
        if account.sequence <= payment.transaction.sequence {
            waiting.push(payment);
        }
    }
    Ok(waiting)
}

/// What waiting payments mean for one address.
pub(super) fn pending_of<'s>(
    address: &Address,
    waiting: impl IntoIterator<Item = &'s SavedPayment>,
) -> Result<Pending, WalletError> {
    let mut pending = Pending::default();
    for payment in waiting {
        let transaction = &payment.transaction;
        let (gives, gets) = (transaction.from() == *address, transaction.to == *address);
        if gives {
            pending.outgoing = pending.outgoing.checked_add(transaction.total()?)?;
        }
        if gets {
            pending.incoming = pending.incoming.checked_add(transaction.amount)?;
        }
        if gives && gets {
            pending.to_itself = pending.to_itself.checked_add(transaction.amount)?;
        }
    }
    Ok(pending)
}

fn confirmed(id: &TxId, chain: &dyn ChainSnapshot) -> Result<Option<PaymentState>, WalletError> {
    let Some(location) = chain.transaction(id)? else {
        return Ok(None);
    };
    Ok(Some(confirmed_at(location.height, chain.tip()?.height)))
}

/// The state of a payment in the active chain's block at a height.
pub(super) fn confirmed_at(height: Height, tip: Height) -> PaymentState {
    PaymentState::Confirmed {
        height,
        depth: (tip.0 + 1).saturating_sub(height.0),
    }
}

impl Pending {
    /// What it takes of the confirmed balance: what is about to come from others is not
    /// there yet, what comes from itself never left.
    pub fn taken(&self) -> Amount {
        self.outgoing.saturating_sub(self.to_itself)
    }

    /// What is about to be added to the balance in units, negative when it shrinks.
    pub fn net_units(&self) -> i128 {
        i128::from(self.incoming.units()) - i128::from(self.outgoing.units())
    }
}

impl fmt::Display for Pending {
    /// Coins with a sign and six decimals, as `list-addresses` shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let net = self.net_units();
        let sign = match net {
            0 => "",
            1.. => "+",
            _ => "-",
        };
        let (units, coin) = (net.unsigned_abs(), u128::from(UNITS_PER_COIN));
        f.pad(&format!("{sign}{}.{:06}", units / coin, units % coin))
    }
}

impl fmt::Display for PaymentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Orphaned { height } => {
                write!(f, "its block {height} was orphaned, waiting again")
            }
            Self::Confirmed { height, depth } => {
                write!(f, "confirmed in block {height}, {depth} deep")
            }
            Self::Superseded { by: Some(by) } => write!(f, "superseded by payment {by:.8}"),
            Self::Superseded { by: None } => {
                f.write_str("superseded by another payment with its sequence")
            }
        }
    }
}
