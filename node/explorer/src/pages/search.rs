//! The search: a height, an id or an address leads to its page.

use crate::{
    ask::{BlockRef, shown},
    look,
    problem::Problem,
    reply::{Reply, Request},
};
use mvb_protocol::{address::Address, hash::TxId};

/// Leads to what was typed.
///
/// # Errors
/// When nothing is known by it.
pub fn search(request: &Request) -> Result<Reply, Problem> {
    let typed = request.query.get("q").unwrap_or_default().trim();
    let digits = typed.replace([',', '_', ' '], "");
    if (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        BlockRef::parse(&digits)?;
        return Ok(Reply::see(format!("/blocks/{digits}")));
    }
    let hex = typed.len() == 64 && typed.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex {
        return Err(Problem::malformed(format!(
            "got {}, expected a height such as 12, or the 64 hex digits of an id or address",
            shown(typed)
        )));
    }
    let lower = typed.to_ascii_lowercase();
    let chain = request.node.chain()?;
    if let Ok(BlockRef::Id(id)) = BlockRef::parse(&lower)
        && chain.header(&id)?.is_some()
    {
        return Ok(Reply::see(format!("/blocks/{id}")));
    }
    if let Ok(id) = lower.parse::<TxId>()
        && (chain.transaction(&id)?.is_some()
            || request.node.waiting(&id).is_some()
            || request.node.own_payment(&id)?.is_some())
    {
        return Ok(Reply::see(format!("/transactions/{id}")));
    }
    let address: Address =
        typed
            .parse()
            .map_err(|error: mvb_protocol::address::AddressError| {
                Problem::malformed(error.to_string())
            })?;
    let (_, is_known) = look::account(&*chain, &address)?;
    if is_known || typed != lower {
        return Ok(Reply::see(format!("/addresses/{address}")));
    }
    Err(Problem::not_found(format!(
        "{typed} is no block, payment or address that this node has seen; \
         an address shows up here once it was paid in a block"
    )))
}
