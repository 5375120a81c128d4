//! A whole mvb node around the actors: configuration, home, transports, wallet, threads and
//! the wiring that starts it all.

pub mod system;
pub mod transport;
