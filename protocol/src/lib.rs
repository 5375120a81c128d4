//! The rules of an mvb ledger, and nothing else: types, hashing, signatures, the codec,
//! validation, the ledger's arithmetic, fork choice and the difficulty adjustment.
//!
//! This crate does no I/O, reads no clock, draws no randomness and runs nothing
//! asynchronously: time, storage and parallelism are arguments. The bytes it defines are
//! described for other implementations in `docs/PROTOCOL.md`.

pub mod address;
pub mod ahead;
pub mod amount;
pub mod block;
pub mod chain;
pub mod codec;
pub mod connect;
pub mod explain;
pub mod hash;
pub mod keys;
pub mod ledger;
pub mod locator;
pub mod merkle;
pub mod mutants;
pub mod numbers;
pub mod params;
pub mod retarget;
pub mod target;
pub mod transaction;
pub mod validate;
pub mod wire;
