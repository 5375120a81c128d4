//! The explorer: what a running node shows over HTTP. Pages for people, rendered on the
//! server; a JSON API under `/api/v1` with an OpenAPI document made from the code; metrics;
//! and a stream of events that keeps pages live.
//!
//! `mvb miner` and `mvb wallet sync` call [`serve`] with their node, `mvb demo --lab` with its
//! [`lab`], which is the only site whose page does something. It runs on threads of its own, reads the
//! chain through snapshots and everything else from the [`mvb_node::snapshot`]; what it asks
//! of an actor is bounded by the [`mvb_node::handle`]. It never writes to the chain, never
//! touches a key, and prints nothing. What it promises against whom stands in docs/SECURITY.md.

pub mod api;
pub mod ask;
mod assets;
mod events;
mod forks;
pub mod guard;
pub mod lab;
mod look;
mod metrics;
mod paced;
mod pages;
pub mod problem;
pub mod reply;
pub mod routes;
mod server;
pub mod site;

pub use server::{PATIENCE, ServeConfig, ServeError, Server, serve};

#[cfg(test)]
mod tests;
