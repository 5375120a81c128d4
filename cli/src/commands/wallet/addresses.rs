//! `mvb wallet new-address` and `mvb wallet list-addresses`.

use crate::{
    context::{Context, open_wallet},
    exit::Exit,
    output::signed_coins,
    passphrase,
};
use anyhow::Result;
use mvb_node::{
    home::{Found, Home},
    wallet::{AddressLine, AddressList, KeyName, KeyStore, Pending},
};
use mvb_protocol::keys::Curve;
use serde::Serialize;
use std::fmt;

/// Makes a key.
pub fn new_address(
    context: &Context,
    name: &str,
    key_size: Option<Curve>,
    encrypt: bool,
) -> Result<Exit> {
    let name: KeyName = name.parse().map_err(usage)?;
    let config = context.config()?;
    let passphrase = match encrypt {
        true => Some(passphrase::for_new_key(&name)?),
        false => None,
    };
    let (home, found) = Home::open_or_create(&config.home)?;
    if found == Found::Created {
        context
            .output
            .hint(format_args!("made a new home at {}", home.path().display()));
    }
    let curve = key_size.unwrap_or(config.key_size);
    let key = KeyStore::new(&config.key_store_dir).create(&name, curve, passphrase.as_ref())?;
    context.output.report(&NewAddress {
        name: key.name.to_string(),
        address: key.address().to_lower_hex(),
        file: key.path.display().to_string(),
        key_size: key.curve().bits(),
        encrypted: key.encrypted,
        shown: key.address().to_string(),
    })?;
    Ok(Exit::Done)
}

fn usage(error: impl fmt::Display) -> crate::exit::UsageError {
    crate::exit::UsageError(error.to_string())
}

#[derive(Serialize)]
struct NewAddress {
    name: String,
    address: String,
    file: String,
    key_size: u16,
    encrypted: bool,
    #[serde(skip)]
    shown: String,
}

impl fmt::Display for NewAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encrypted = if self.encrypted {
            ", protected by its passphrase"
        } else {
            ""
        };
        writeln!(
            f,
            "Generated key [{}] with address {}",
            self.name, self.shown
        )?;
        writeln!(f, "Key saved in {}{encrypted}", self.file)
    }
}

/// Lists the keys with their balances.
pub fn list_addresses(context: &Context) -> Result<Exit> {
    let config = context.config()?;
    let home = Home::open(&config.home)?;
    let wallet = open_wallet(&config, &home)?;
    let AddressList {
        addresses,
        problems,
    } = wallet.addresses()?;
    for warning in addresses.iter().flat_map(|line| &line.warnings) {
        context.output.warn(warning);
    }
    let unreadable: Vec<Unreadable> = problems
        .into_iter()
        .map(|(file, error)| Unreadable {
            file: file.display().to_string(),
            reason: error.to_string(),
        })
        .collect();
    for Unreadable { file, reason } in &unreadable {
        context
            .output
            .warn(format_args!("left out {file}: {reason}"));
    }
    let empty = addresses.is_empty();
    context.output.report(&Addresses {
        addresses: addresses.iter().map(Line::new).collect(),
        unreadable,
    })?;
    if empty {
        context
            .output
            .hint("no address yet: `mvb wallet new-address NAME` makes one");
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Addresses {
    addresses: Vec<Line>,
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    address: String,
    balance: String,
    pending: String,
    key_size: u16,
    encrypted: bool,
    #[serde(skip)]
    shown: String,
}

#[derive(Serialize)]
struct Unreadable {
    file: String,
    reason: String,
}

impl Line {
    fn new(line: &AddressLine) -> Self {
        Self {
            name: line.name.to_string(),
            address: line.address.to_lower_hex(),
            balance: line.balance.to_string(),
            pending: pending(&line.pending),
            key_size: line.curve.bits(),
            encrypted: line.encrypted,
            shown: line.address.to_string(),
        }
    }
}

/// What comes in less what goes out.
fn pending(pending: &Pending) -> String {
    let units = |amount: mvb_protocol::amount::Amount| i128::from(amount.units());
    signed_coins(units(pending.incoming) - units(pending.outgoing))
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:16} {:12} {:12} {:64}",
            "Key Name", "Balance", "Pending", "Address"
        )?;
        writeln!(f, "{:-<16} {:-<12} {:-<12} {:-<64}", "", "", "", "")?;
        for line in &self.addresses {
            writeln!(
                f,
                "{:16} {:>12} {:>12} {}",
                line.name, line.balance, line.pending, line.shown
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::{address::Address, amount::Amount};

    fn line() -> AddressLine {
        AddressLine {
            name: "robs-address".parse().unwrap(),
            address: Address([0x41; 32]),
            curve: Curve::P256,
            encrypted: false,
            balance: Amount::ZERO,
            pending: Pending::default(),
            warnings: Vec::new(),
        }
    }

    fn report(lines: &[AddressLine]) -> Addresses {
        Addresses {
            addresses: lines.iter().map(Line::new).collect(),
            unreadable: Vec::new(),
        }
    }

    #[test]
    fn the_columns_are_those_of_the_original() {
        let mut paying = line();
        paying.name = "mining_rewards".parse().unwrap();
        paying.balance = Amount::from_units(12_500_000);
        paying.pending.outgoing = Amount::from_units(2_500_001);
        paying.pending.incoming = Amount::from_units(1);
        let address = Address([0x41; 32]);
        assert_eq!(
            report(&[line(), paying]).to_string(),
            format!(
                "Key Name         Balance      Pending      Address                                                         \n\
                 ---------------- ------------ ------------ ----------------------------------------------------------------\n\
                 robs-address                0    +0.000000 {address}\n\
                 mining_rewards           12.5    -2.500000 {address}\n"
            )
        );
    }

    #[test]
    fn json_has_coins_as_strings_and_lower_case_addresses() {
        assert_eq!(
            serde_json::to_string(&report(&[line()])).unwrap(),
            format!(
                r#"{{"addresses":[{{"name":"robs-address","address":"{}","balance":"0","pending":"+0.000000","key_size":256,"encrypted":false}}],"unreadable":[]}}"#,
                "41".repeat(32)
            )
        );
    }

    #[test]
    fn a_new_address_is_told_as_the_original_did() {
        let told = NewAddress {
            name: "robs-address".into(),
            address: "41".repeat(32),
            file: "./robs-address.pem".into(),
            key_size: 256,
            encrypted: false,
            shown: "41".repeat(32),
        };
        assert_eq!(
            told.to_string(),
            format!(
                "Generated key [robs-address] with address {}\nKey saved in ./robs-address.pem\n",
                "41".repeat(32)
            )
        );
    }
}
