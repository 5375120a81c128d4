//! The commands, one file each.

pub mod bench;
pub mod chain;
mod child;
pub mod config;
pub mod demo;
pub mod doctor;
mod http;
pub mod install;
pub mod miner;
pub mod wallet;
mod watch;
