//! The pages, one file each. Every one is made on the server from a snapshot of the node and
//! a view of its chain; nothing here asks an actor but for the payments that wait.

mod address;
mod block;
mod chart;
mod forks;
pub(crate) mod layout;
mod lists;
mod overview;
mod peers;
mod problem;
mod search;
mod transaction;
pub(crate) mod tree;

pub use address::address;
pub use block::block;
pub use forks::forks;
pub use lists::{blocks, cursor, mempool};
pub use overview::overview;
pub use peers::peers;
pub use problem::{problem, sentence};
pub use search::search;
pub use transaction::{reasons, state, transaction};
