//! What is wrong with a request, or with the node: a status, a stable code for programs and a
//! sentence for people that says what would be right. The API writes it as JSON, the pages as
//! a page.

use actix_web::http::StatusCode;
use mvb_node::wallet::WalletError;
use mvb_protocol::chain::StoreError;

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// What programs tell it by. A code never changes its meaning.
    pub code: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// Any problem.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// A parameter of the query is wrong.
    pub fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
    }

    /// An id, address or height cannot be one.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// What is asked for is not known here.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// There is no such page.
    pub fn no_route(path: &str) -> Self {
        Self::not_found(format!("there is nothing at {}", crate::ask::shown(path)))
    }

    /// The node is ending.
    pub fn going_down() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "going_down",
            "this node is ending; start it and try again",
        )
    }

    /// The node is at fault. What exactly is for its operator: the log has it.
    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "the explorer cannot answer");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this node cannot read its own files; its log says why",
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<WalletError> for Problem {
    fn from(error: WalletError) -> Self {
        Self::internal(&error)
    }
}
