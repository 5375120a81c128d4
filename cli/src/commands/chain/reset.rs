//! `mvb chain reset`: begins a new chain under a new name.

use crate::{
    args,
    context::{self, Context},
    exit::{Exit, UsageError},
};
use anyhow::{Result, bail};
use mvb_node::{
    config::Config,
    home::{Home, Role, remembered_params},
};
use serde::Serialize;
use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

/// Begins anew.
pub fn run(context: &Context, reset: args::Reset) -> Result<Exit> {
    let home_path = context.home_path()?;
    let home = Home::open(&home_path)?;
    let overrides = context.overrides(&[("network_name", reset.network_name)]);
    let config = Config::load_for_reset(&home_path, &overrides, context::environment())?;
    let params = config.chain_params();
    let lock = home.lock(Role::Maintenance)?;
    let old = remembered_params(&home_path)?;
    let Some(old) = old else {
        bail!("this home has no chain yet, so there is nothing to reset");
    };
    if old.network_name == params.network_name {
        return Err(UsageError(format!(
            "say the new network's name: `mvb chain reset NEW_NAME`; under the old name {:?} \
             everybody's old payments would be valid again",
            old.network_name
        ))
        .into());
    }
    if !reset.yes {
        confirm(&old.network_name, &params.network_name)?;
    }
    home.reset_chain(params, &lock)?;
    context.output.report(&Reset {
        network_name: params.network_name.clone(),
        genesis: params.genesis_id().to_string(),
        previous_network_name: old.network_name.clone(),
        previous_genesis: old.genesis_id().to_string(),
    })?;
    // Without this run's flags the home must still make sense.
    if let Err(error) = Config::load(&home_path, &[], context::environment()) {
        context
            .output
            .warn(format_args!("set this right before you go on: {error}"));
    }
    Ok(Exit::Done)
}

fn confirm(old: &str, new: &str) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(UsageError(
            "this deletes the chain of this home, and nobody is there to be asked: add --yes"
                .to_owned(),
        )
        .into());
    }
    // The question belongs to the person at the terminal, not to what is piped on.
    let mut stderr = io::stderr();
    write!(
        stderr,
        "This deletes the chain of network {old:?} from this home and begins network {new:?} at \
         genesis.\nKeys and payments are kept. Go on? [y/N] "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing was changed"),
    }
}

#[derive(Serialize)]
struct Reset {
    network_name: String,
    genesis: String,
    previous_network_name: String,
    previous_genesis: String,
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The chain of network {:?} is gone; this home is now part of network {:?} \
             (genesis {:.8}), at height 0.",
            self.previous_network_name, self.network_name, self.genesis
        )
    }
}
