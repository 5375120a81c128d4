//! What a server serves: the explorer of a node, or the page of a lab. The server asks it for
//! answers on threads that may block.

use crate::{
    events::{self, Words},
    problem::Problem,
    reply::{JSON, Reply},
    routes::{self, Asked, Kind},
};
use mvb_node::handle::NodeHandle;
use tokio::sync::OwnedSemaphorePermit;

/// A site.
pub trait Site: Clone + Send + 'static {
    /// Answers a request that the guard let through. May block for the time of some reads.
    fn answer(&self, asked: Asked<'_>) -> Reply;

    /// A problem as whoever asked reads it.
    fn refuse(&self, kind: Kind, problem: &Problem) -> Reply;

    /// The methods that a path is asked with; empty where there is nothing.
    fn allowed(&self, path: &str) -> String;

    /// The kind of body that what is submitted must have.
    fn body_kind(&self) -> &'static str;

    /// The stream that tells pages of changes.
    fn follow(&self, place: OwnedSemaphorePermit) -> Words;
}

impl Site for NodeHandle {
    fn answer(&self, asked: Asked<'_>) -> Reply {
        routes::answer(self, asked)
    }

    fn refuse(&self, kind: Kind, problem: &Problem) -> Reply {
        routes::refuse(self, kind, problem)
    }

    fn allowed(&self, path: &str) -> String {
        routes::allowed(path)
    }

    /// One that no form of another page can send.
    fn body_kind(&self) -> &'static str {
        JSON
    }

    fn follow(&self, place: OwnedSemaphorePermit) -> Words {
        events::stream(self.snapshots.clone(), events::of_node, place)
    }
}
