//! Serves the explorer beside a running node, or the page of a lab, where the configuration wants
//! it.

use crate::context::Context;
use anyhow::Result;
use mvb_explorer::{PATIENCE, ServeConfig, Server, serve, site::Site};
use mvb_node::config::Config;

/// Serves a site. At the default address the next free port will do, and none at
/// all is no reason not to run; an address that was asked for is served or the command fails.
pub fn site(context: &Context, config: &Config, site: &impl Site) -> Result<Option<Server>> {
    let Some(address) = config.http else {
        return Ok(None);
    };
    let is_asked_for = config.is_explicit("http");
    let wanted = ServeConfig {
        address,
        try_next_ports: !is_asked_for,
        patience: PATIENCE,
    };
    let server = match serve(site.clone(), wanted) {
        Ok(server) => server,
        Err(error) if is_asked_for => return Err(error.into()),
        Err(error) => {
            context.output.warn(&error);
            return Ok(None);
        }
    };
    if !address.ip().is_loopback() {
        context.output.warn(format_args!(
            "{} is served to others too, who can read it and hand in what it takes",
            server.address()
        ));
    }
    Ok(Some(server))
}
