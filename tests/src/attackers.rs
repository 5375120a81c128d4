//! Those who attack: floods of datagrams, clients that stall, peers that lie. Only for a
//! network of a test's own, where loopback's 16 million addresses are as many attackers.
//! Each is bounded in count and time and ends by itself; nothing here judges the node.

mod bad_peers;
mod clients;
mod floods;
mod liars;
pub mod premade;

pub use bad_peers::{Asked, BadPeers, Wrong};
pub use clients::{ConnectionFlood, SlowClients};
pub use floods::{Flood, forged_payments, invented_statuses};
pub use liars::Liars;

use crate::namespaces;
use mvb_actors::env::RandomStream;
use mvb_protocol::wire::NodeId;
use std::net::Ipv4Addr;

/// An attacker's address; none of them is 127.0.0.1.
pub fn attacker(number: usize) -> Ipv4Addr {
    let [high, low] = [number / 250 % 250, number % 250].map(|part| part as u8);
    Ipv4Addr::new(127, 66, high, low + 1)
}

/// An attack begins: never outside a namespace of a test's own.
fn only_inside() {
    assert!(
        namespaces::is_in_one(),
        "attacks run inside a test's own namespace only"
    );
}

fn bytes<const N: usize>(random: &RandomStream) -> [u8; N] {
    std::array::from_fn(|_| random.next_u64() as u8)
}

fn node(random: &RandomStream) -> NodeId {
    NodeId(bytes(random))
}
