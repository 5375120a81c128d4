//! Passphrases of encrypted keys: from `MVB_PASSPHRASE`, or else asked for where a person
//! sits at a terminal, or else refused in words. Nothing else prompts for one.

use crate::exit::UsageError;
use anyhow::{Context as _, Result};
use mvb_node::wallet::{KeyName, Passphrase};
use std::{
    env,
    io::{self, IsTerminal},
};

const VARIABLE: &str = "MVB_PASSPHRASE";

/// The passphrase of a key that exists; `None` when there is nobody to ask or nothing was
/// typed.
pub fn of(name: &KeyName) -> Option<Passphrase> {
    if let Some(given) = from_environment() {
        return Some(given);
    }
    if !io::stdin().is_terminal() {
        return None;
    }
    let typed = rpassword::prompt_password(format!("passphrase of key {name}: ")).ok()?;
    Some(Passphrase::new(typed)).filter(|passphrase| !passphrase.is_empty())
}

/// A passphrase for a new key, typed twice.
///
/// # Errors
/// When there is nobody to ask, nothing was typed, or not the same twice.
pub fn for_new_key(name: &KeyName) -> Result<Passphrase> {
    if let Some(given) = from_environment() {
        return Ok(given);
    }
    if !io::stdin().is_terminal() {
        return Err(UsageError(format!(
            "--encrypt needs a passphrase: run it in a terminal to be asked, or set {VARIABLE}"
        ))
        .into());
    }
    let ask = |prompt: String| -> Result<Passphrase> {
        let typed = rpassword::prompt_password(prompt).context("cannot read the passphrase")?;
        Ok(Passphrase::new(typed))
    };
    let first = ask(format!("new passphrase of key {name}: "))?;
    if first.is_empty() {
        return Err(UsageError("the passphrase is empty; no key was made".to_owned()).into());
    }
    if ask("the same once more: ".to_owned())? != first {
        return Err(UsageError("the two passphrases differ; no key was made".to_owned()).into());
    }
    Ok(first)
}

/// What to do about a key whose passphrase nobody gave.
pub fn hint() -> &'static str {
    "run it in a terminal to be asked, or set MVB_PASSPHRASE"
}

fn from_environment() -> Option<Passphrase> {
    let given = env::var(VARIABLE).ok()?;
    Some(Passphrase::new(given)).filter(|passphrase| !passphrase.is_empty())
}
