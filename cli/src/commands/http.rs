//! Serves the explorer beside a running node, where the configuration wants it.

use crate::context::Context;
use anyhow::Result;
use mvb_explorer::{PATIENCE, ServeConfig, Server, serve};
use mvb_node::{config::Config, handle::NodeHandle};

/// Serves a node's explorer. At the default address the next free port will do, and none at
/// all is no reason not to run; an address that was asked for is served or the command fails.
pub fn explorer(context: &Context, config: &Config, node: &NodeHandle) -> Result<Option<Server>> {
    let Some(address) = config.http else {
        return Ok(None);
    };
    let is_asked_for = config.is_explicit("http");
    let wanted = ServeConfig {
        address,
        try_next_ports: !is_asked_for,
        patience: PATIENCE,
    };
    let server = match serve(node.clone(), wanted) {
        Ok(server) => server,
        Err(error) if is_asked_for => return Err(error.into()),
        Err(error) => {
            context.output.warn(&error);
            return Ok(None);
        }
    };
    if !address.ip().is_loopback() {
        context.output.warn(format_args!(
            "the explorer is served at {}, where others can read it and hand in payments",
            server.address()
        ));
    }
    Ok(Some(server))
}
