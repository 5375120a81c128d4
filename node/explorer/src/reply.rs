//! An answer before it is a response: bytes, their kind, and how long they may be kept. The
//! routes make them from a [`Request`]; the server adds the headers that every response has.

use crate::{ask::Query, problem::Problem};
use actix_web::http::StatusCode;
use maud::Markup;
use mvb_node::handle::NodeHandle;
use mvb_protocol::numbers::Timestamp;
use serde::Serialize;
use std::net::SocketAddr;

/// A request as the routes see it.
pub struct Request {
    /// The node that is looked at.
    pub node: NodeHandle,
    /// The part of the path that names something, decoded; empty where a route has none.
    pub name: String,
    /// The query.
    pub query: Query,
    /// The body; empty but for what is submitted.
    pub body: Vec<u8>,
    /// Who asks.
    pub from: SocketAddr,
    /// Now, by this machine's clock.
    pub now: Timestamp,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// What the body is.
    pub kind: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Where to go instead.
    pub location: Option<String>,
    /// Whether it never changes.
    pub is_lasting: bool,
}

/// HTML.
pub const HTML: &str = "text/html; charset=utf-8";

/// JSON.
pub const JSON: &str = "application/json";

impl Reply {
    /// An answer of a kind.
    pub fn of(kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: StatusCode::OK,
            kind,
            body: body.into(),
            location: None,
            is_lasting: false,
        }
    }

    /// A page.
    pub fn page(markup: Markup) -> Self {
        Self::of(HTML, markup.into_string())
    }

    /// A JSON document.
    pub fn json(document: &impl Serialize) -> Self {
        let body = serde_json::to_vec(document)
            .expect("documents have text keys and parts that cannot fail");
        Self::of(JSON, body)
    }

    /// Another page.
    pub fn see(location: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SEE_OTHER,
            location: Some(location.into()),
            ..Self::of(HTML, "")
        }
    }

    /// The same with another status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

/// What a route does: reads what it needs and answers. It runs on a thread that may block.
pub type Answer = fn(&Request) -> Result<Reply, Problem>;
