//! The claims both stores must keep, one suite for the two of them, and those of the store
//! on disk alone.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail as the tests do"
)]

mod conformance;
mod damage;
mod disk;
mod histories;
mod random;
mod verify;
mod world;
