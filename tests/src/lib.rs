//! Whole nodes together: a cluster of simulated machines in one process and the simulator
//! that runs seeded faults against it; and the program's processes in networks of their own.

pub mod attackers;
pub mod browser;
pub mod checks;
pub mod cluster;
pub mod namespaces;
pub mod process;
pub mod scenarios;
pub mod sim_env;
pub mod sim_net;
pub mod sim_node;
pub mod sim_search;
pub mod sim_store;
pub mod simulation;
