//! Every address that the explorer answers, in one table, and how an answer is found. The
//! server registers it; the tests compare it with the OpenAPI document and the pages' links.

use crate::{
    api,
    ask::{self, Query},
    metrics, pages,
    problem::Problem,
    reply::{Answer, Reply, Request},
};
use actix_web::http::StatusCode;
use mvb_node::handle::NodeHandle;
use mvb_protocol::numbers::Timestamp;
use std::net::SocketAddr;

/// What a route is for, which decides how its problems look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// People.
    Page,
    /// Programs.
    Api,
}

/// How a route is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET or HEAD.
    Get,
    /// POST.
    Post,
}

/// One route.
pub struct Route {
    /// How it is asked.
    pub verb: Verb,
    /// Its path; `{}` stands for a name.
    pub path: &'static str,
    /// Whom it is for.
    pub kind: Kind,
    /// The parameters that its query may have.
    pub parameters: &'static [&'static str],
    /// What it does.
    pub answer: Answer,
}

const fn page(path: &'static str, parameters: &'static [&'static str], answer: Answer) -> Route {
    Route {
        verb: Verb::Get,
        path,
        kind: Kind::Page,
        parameters,
        answer,
    }
}

const fn api(path: &'static str, parameters: &'static [&'static str], answer: Answer) -> Route {
    Route {
        kind: Kind::Api,
        ..page(path, parameters, answer)
    }
}

/// Every route but the stream of events and the assets.
pub static ROUTES: &[Route] = &[
    page("/", &[], pages::overview),
    page("/blocks", &["before"], pages::blocks),
    page("/blocks/{}", &["from"], pages::block),
    page("/transactions/{}", &[], pages::transaction),
    page("/addresses/{}", &["cursor"], pages::address),
    page("/mempool", &["cursor"], pages::mempool),
    page("/peers", &[], pages::peers),
    page("/forks", &[], pages::forks),
    page("/search", &["q"], pages::search),
    api("/healthz", &[], metrics::health),
    api("/metrics", &[], metrics::metrics),
    api("/api/v1/openapi.json", &[], api::openapi),
    api("/api/v1/params", &[], api::params),
    api("/api/v1/tip", &[], api::tip),
    api("/api/v1/blocks", &["before", "limit"], api::blocks),
    api("/api/v1/blocks/{}", &[], api::block),
    api("/api/v1/transactions/{}", &[], api::transaction),
    Route {
        verb: Verb::Post,
        ..api("/api/v1/transactions", &[], api::submit)
    },
    api("/api/v1/addresses/{}", &[], api::address),
    api(
        "/api/v1/addresses/{}/history",
        &["cursor", "limit"],
        api::history,
    ),
    api("/api/v1/mempool", &["cursor", "limit"], api::mempool),
    api("/api/v1/peers", &[], api::peers),
    api("/api/v1/forks", &[], api::forks),
];

/// A request before it is read.
pub struct Asked<'a> {
    /// How it is asked.
    pub verb: Verb,
    /// The path, as it came.
    pub path: &'a str,
    /// The query, as it came.
    pub query: &'a str,
    /// The body.
    pub body: Vec<u8>,
    /// Who asks.
    pub from: SocketAddr,
    /// Now, by this machine's clock.
    pub now: Timestamp,
}

/// Answers a request. Blocks the thread for the time of some reads.
pub fn answer(node: &NodeHandle, asked: Asked<'_>) -> Reply {
    let kind = kind(asked.path);
    match try_answer(node, asked) {
        Ok(reply) => reply,
        Err(problem) => refuse(node, kind, &problem),
    }
}

/// A problem as whoever asked reads it.
pub fn refuse(node: &NodeHandle, kind: Kind, problem: &Problem) -> Reply {
    match kind {
        Kind::Page => pages::problem(node, problem),
        Kind::Api => Reply::json(&api::error(problem)).with_status(problem.status),
    }
}

/// Whom a path is for, whether there is something at it or not.
pub fn kind(path: &str) -> Kind {
    match path {
        "/healthz" | "/metrics" | "/events" => Kind::Api,
        path if path == "/api" || path.starts_with("/api/") => Kind::Api,
        _ => Kind::Page,
    }
}

fn try_answer(node: &NodeHandle, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (route, name) = find(asked.verb, asked.path)?;
    let request = Request {
        node: node.clone(),
        name: ask::decoded(name)?,
        query: Query::parse(asked.query, route.parameters)?,
        body: asked.body,
        from: asked.from,
        now: asked.now,
    };
    (route.answer)(&request)
}

/// The route of a path, and the part of it that names something.
fn find(verb: Verb, path: &str) -> Result<(&'static Route, &str), Problem> {
    let mut at = ROUTES
        .iter()
        .filter_map(|route| Some((route, matched(route.path, path)?)))
        .peekable();
    if at.peek().is_none() {
        return Err(Problem::no_route(path));
    }
    at.find(|(route, _)| route.verb == verb)
        .ok_or_else(|| wrong_method(path, &allowed(path)))
}

/// What is said where a path is asked otherwise than by its methods, which may be none.
pub fn wrong_method(path: &str, allowed: &str) -> Problem {
    match allowed {
        "" => Problem::no_route(path),
        methods => Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("expected {methods} here"),
        ),
    }
}

/// The methods that a path is asked with; empty where there is nothing.
pub fn allowed(path: &str) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for route in ROUTES {
        if matched(route.path, path).is_some() {
            methods.extend(match route.verb {
                Verb::Get => ["GET", "HEAD"].as_slice(),
                Verb::Post => ["POST"].as_slice(),
            });
        }
    }
    methods.join(", ")
}

/// What stands in the place of `{}`, if the path fits.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.split_once("{}") {
        None => (pattern == path).then_some(""),
        Some((before, after)) => {
            let name = path.strip_prefix(before)?.strip_suffix(after)?;
            (!name.is_empty() && !name.contains('/')).then_some(name)
        }
    }
}
