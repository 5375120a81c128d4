//! `mvb demo`.

use crate::{args, context::Context, exit::Exit};
use anyhow::Result;

pub fn run(_: &Context, _: &args::Demo) -> Result<Exit> {
    anyhow::bail!("not yet")
}
