//! A whole mvb node around the actors: configuration, home, transports, wallet, threads and
//! the wiring that starts it all.

pub mod config;
pub mod home;
pub mod resident;
pub mod running;
pub mod system;
pub mod transport;
pub mod wallet;
pub mod wiring;
