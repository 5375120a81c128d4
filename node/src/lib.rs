//! A whole mvb node around the actors: configuration, home, transports, wallet, threads and
//! the wiring that starts it all.

pub mod config;
pub mod doctor;
pub mod handle;
pub mod home;
pub mod lab;
pub mod resident;
pub mod running;
pub mod snapshot;
pub mod system;
pub mod transport;
pub mod wallet;
pub mod wiring;
pub mod words;
