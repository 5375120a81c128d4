//! The JSON API: one function for each route under `/api/v1`, each with its description, from
//! which the OpenAPI document is made. Everything is a look-up with a bound.

mod submit;
pub mod types;

pub use submit::{submit, transaction as signed_transaction};

use crate::{
    ask::{self, BlockRef, location_cursor},
    forks as fork_tree,
    look::{self, FoundPayment},
    pages,
    problem::Problem,
    reply::{Reply, Request},
};
use types::{
    Account, Block, ErrorBody, ErrorDetail, Forks, Header, Headers, History, Mempool, Params,
    Payment, PaymentState, Peers, Signed, Tip,
};
use utoipa::OpenApi;

/// How many lines an answer has where nobody asks for another number.
const LIMIT: usize = 20;

/// The document of the whole API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "mvb",
        description = "What a running mvb node knows. Amounts are texts of coins, ids lower-case hex, times milliseconds since 1970 (UTC). Fields may be added; none changes its meaning."
    ),
    servers((url = "/")),
    paths(
        params,
        tip,
        blocks,
        block,
        transaction,
        submit::submit,
        address,
        history,
        mempool,
        peers,
        forks,
    )
)]
pub struct Document;

/// The body of a problem.
pub fn error(problem: &Problem) -> ErrorBody {
    ErrorBody {
        error: ErrorDetail {
            code: problem.code.to_owned(),
            message: problem.message.clone(),
        },
    }
}

/// The OpenAPI document.
///
/// # Errors
/// Never.
pub fn openapi(_: &Request) -> Result<Reply, Problem> {
    Ok(Reply::json(&Document::openapi()))
}

/// The parameters of the network.
///
/// # Errors
/// When the query is wrong.
#[utoipa::path(
    get,
    path = "/api/v1/params",
    responses(
        (status = 200, body = Params),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn params(request: &Request) -> Result<Reply, Problem> {
    Ok(Reply::json(&Params::from(&*request.node.params)))
}

/// The end of the active chain, and what the node is at.
///
/// # Errors
/// When the query is wrong or the chain cannot be read.
#[utoipa::path(
    get,
    path = "/api/v1/tip",
    responses(
        (status = 200, body = Tip),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn tip(request: &Request) -> Result<Reply, Problem> {
    let now = request.node.now();
    let chain = request.node.chain()?;
    let tip = chain.tip()?;
    let timestamp = chain.header(&tip.id)?.map(|stored| stored.header.timestamp);
    Ok(Reply::json(&Tip {
        height: tip.height.0,
        id: tip.id.to_string(),
        work: tip.work.to_string(),
        timestamp: timestamp.unwrap_or_default().0,
        waiting: now.mempool.waiting,
        peers: now.peers.peers.len(),
        catching_up_to: now.peers.sync.map(|sync| sync.claimed.0),
        hashes_per_second: now.mining.hashes_per_second,
    }))
}

/// Headers of the active chain, the highest first.
///
/// # Errors
/// When the query is wrong or the chain cannot be read.
#[utoipa::path(
    get,
    path = "/api/v1/blocks",
    params(
        ("before" = Option<u64>, Query, description = "Only blocks below this height"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many")
    ),
    responses(
        (status = 200, body = Headers),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn blocks(request: &Request) -> Result<Reply, Problem> {
    let before = request.query.height("before")?;
    let limit = request.query.limit(LIMIT)?;
    let chain = request.node.chain()?;
    let headers = look::headers(&*chain, before, limit)?;
    let last = headers.last().map(|(_, stored)| stored.header.height.0);
    Ok(Reply::json(&Headers {
        blocks: headers
            .iter()
            .map(|(id, stored)| Header::new(id, stored))
            .collect(),
        next_before: last.filter(|height| *height > 1),
    }))
}

/// A block by its height on the active chain, or any stored block by its id.
///
/// # Errors
/// When there is none.
#[utoipa::path(
    get,
    path = "/api/v1/blocks/{block}",
    params(
        ("block" = String, Path, pattern = "^([0-9a-f]{64}|[0-9]{1,19})$", description = "A height or an id")
    ),
    responses(
        (status = 200, body = Block),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn block(request: &Request) -> Result<Reply, Problem> {
    let which = BlockRef::parse(&request.name)?;
    let chain = request.node.chain()?;
    Ok(Reply::json(&Block::from(&look::block(&*chain, which)?)))
}

/// A payment: in a block, in this node's mempool, or made on this home.
///
/// # Errors
/// When it is not known here.
#[utoipa::path(
    get,
    path = "/api/v1/transactions/{id}",
    params(
        ("id" = String, Path, pattern = "^[0-9a-f]{64}$", description = "Its id")
    ),
    responses(
        (status = 200, body = Payment),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn transaction(request: &Request) -> Result<Reply, Problem> {
    let id = ask::transaction_id(&request.name)?;
    let found = look::payment(&request.node, id, request.now)?;
    let document = match &found {
        FoundPayment::Confirmed {
            transaction,
            location,
            block,
            depth,
        } => Payment {
            id: id.to_string(),
            from: transaction.from().to_lower_hex(),
            signed: Signed::from(&**transaction),
            state: PaymentState::Confirmed,
            height: Some(location.height.0),
            block: Some(block.to_string()),
            confirmations: *depth,
            why: Vec::new(),
        },
        FoundPayment::Unconfirmed {
            transaction,
            waiting,
            why,
        } => Payment {
            id: id.to_string(),
            from: transaction.from().to_lower_hex(),
            signed: Signed::from(&**transaction),
            state: pages::state(waiting.as_ref(), why.as_ref()),
            height: None,
            block: None,
            confirmations: 0,
            why: pages::reasons(request, waiting.as_ref(), why.as_ref()),
        },
    };
    Ok(Reply::json(&document))
}

/// What an address has.
///
/// # Errors
/// When it is no address or the chain cannot be read.
#[utoipa::path(
    get,
    path = "/api/v1/addresses/{address}",
    params(
        ("address" = String, Path, pattern = "^[0-9a-f]{64}$", description = "The address; mixed case is checked")
    ),
    responses(
        (status = 200, body = Account),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn address(request: &Request) -> Result<Reply, Problem> {
    let address = ask::address(&request.name)?;
    let chain = request.node.chain()?;
    let (account, known) = look::account(&*chain, &address)?;
    Ok(Reply::json(&Account {
        address: address.to_lower_hex(),
        checksummed: address.to_string(),
        balance: account.balance.to_string(),
        sequence: account.sequence.0,
        known,
    }))
}

/// What an address was paid and has paid in blocks, the newest first.
///
/// # Errors
/// When it is no address, the query is wrong or the chain cannot be read.
#[utoipa::path(
    get,
    path = "/api/v1/addresses/{address}/history",
    params(
        ("address" = String, Path, pattern = "^[0-9a-f]{64}$", description = "The address; mixed case is checked"),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,19}-[0-9]{1,9}$", description = "Where an earlier answer ended"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many")
    ),
    responses(
        (status = 200, body = History),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn history(request: &Request) -> Result<Reply, Problem> {
    let address = ask::address(&request.name)?;
    let cursor = request.query.location("cursor")?;
    let limit = request.query.limit(LIMIT)?;
    let chain = request.node.chain()?;
    let history = look::history(&*chain, &address, cursor, limit)?;
    Ok(Reply::json(&History {
        entries: history.items.iter().map(Into::into).collect(),
        next_cursor: history.next.map(location_cursor),
    }))
}

/// Payments that wait, by sender and sequence.
///
/// # Errors
/// When the query is wrong or the node is ending.
#[utoipa::path(
    get,
    path = "/api/v1/mempool",
    params(
        ("cursor" = Option<String>, Query, pattern = "^[0-9a-f]{64}-[0-9]{1,19}$", description = "Where an earlier answer ended"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many")
    ),
    responses(
        (status = 200, body = Mempool),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn mempool(request: &Request) -> Result<Reply, Problem> {
    let cursor = request.query.waiting("cursor")?;
    let limit = request.query.limit(LIMIT)?;
    let listed = futures::executor::block_on(request.node.list_waiting(cursor, limit + 1));
    let mut listed = listed.ok_or_else(Problem::going_down)?;
    let more = listed.len() > limit;
    listed.truncate(limit);
    let totals = request.node.now().mempool;
    Ok(Reply::json(&Mempool {
        waiting: totals.waiting,
        ready: totals.ready,
        bytes: totals.bytes,
        next_cursor: listed.last().filter(|_| more).map(pages::cursor),
        transactions: listed.iter().map(Into::into).collect(),
    }))
}

/// The miners heard lately, and what they claim.
///
/// # Errors
/// When the query is wrong.
#[utoipa::path(
    get,
    path = "/api/v1/peers",
    responses(
        (status = 200, body = Peers),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn peers(request: &Request) -> Result<Reply, Problem> {
    let now = request.node.now();
    Ok(Reply::json(&Peers {
        peers: now.peers.peers.iter().map(Into::into).collect(),
        open_sessions: now.open_sessions,
        other_network: now.peers.other_network.clone(),
    }))
}

/// The last blocks with the branches beside them that this node has seen.
///
/// # Errors
/// When the query is wrong or the chain cannot be read.
#[utoipa::path(
    get,
    path = "/api/v1/forks",
    responses(
        (status = 200, body = Forks),
        (status = "default", body = ErrorBody, description = "What is wrong")
    )
)]
pub fn forks(request: &Request) -> Result<Reply, Problem> {
    let chain = request.node.chain()?;
    let tree = fork_tree::tree(&*chain, &request.node.now())?;
    Ok(Reply::json(&Forks::from(&tree)))
}
