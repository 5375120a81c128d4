//! The parameters that the original documented, each seen to act on the running program.
//! Runs inside a network namespace, in which it listens on the UDP ports itself.

use super::{Lab, balance, chain, follow, mine, new_address, reaches, send};
use crate::process::{Mvb, PATIENCE};
use mvb_actors::env::{Channel, Datagrams, Transport};
use mvb_node::transport::{NetTransport, TransportConfig};
use mvb_protocol::wire::Datagram;
use std::{net::TcpStream, path::Path, rc::Rc};
use tokio::{runtime::Runtime, time};

/// Ports that are not the defaults: status, blocks, transactions.
const PORTS: (u16, u16, u16) = (4_001, 4_002, 4_003);

/// An interval, in seconds, after which nothing happens as long as a test runs.
const NEVER: u32 = 3_600;

/// An interval, in seconds, that passes many times in a test.
const OFTEN: f64 = 0.1;

/// `difficulty`, `block_size`, `block_reward` and `key_size`: the chain that comes of them.
pub fn the_rules_of_the_chain(program: &Path) {
    let lab = Lab::new(program);
    let home = |name| {
        lab.bare_home(name)
            .set("network_name", name)
            .set("status_broadcast_interval_seconds", OFTEN)
    };

    // Each bit of difficulty doubles the work of a block: 2^9 hashes, and 2^10.
    for (difficulty, work) in [(9, 512), (10, 1_024)] {
        let home = home("work").at(lab.folder().join(format!("work-{difficulty}")));
        let home = home.set("difficulty", difficulty);
        reaches(&mut mine(&home), 1);
        assert_eq!(chain(&home).work, work);
    }

    // Alone, a reward fills a block of one; a block of two waits for a payment.
    let rewards_only = home("one").set("difficulty", 12).set("block_size", 1);
    let rewards_only = rewards_only.set("block_reward", "2.5");
    let mut miner = mine(&rewards_only);
    reaches(&mut miner, 3);
    miner.kill();
    let coins = chain(&rewards_only).height as f64 * 2.5;
    assert_eq!(balance(&rewards_only, "mining_rewards"), coins.to_string());
    for (block_size, missing) in [(2, 1), (4, 3)] {
        let home = home("more").at(lab.folder().join(format!("more-{block_size}")));
        let home = home.set("difficulty", 12).set("block_size", block_size);
        let waits = mine(&home)
            .wait_for_event("the wait", |event| event["state"] == "waiting-for-payments");
        assert_eq!(waits["missing"], missing, "{waits}");
    }

    for key_size in [256, 384, 521] {
        let home = home("keys").set("key_size", key_size);
        let made = home.json(&["wallet", "new-address", &format!("key-{key_size}")]);
        assert_eq!(made["key_size"], key_size);
    }
}

/// The three ports: what a node says, and whom it hears, is on those it was given.
pub fn the_three_ports(program: &Path) {
    let lab = Lab::new(program);
    let home = with_ports(&lab.home("miner"));
    let ears = Ears::open();
    let mut miner = mine(&home);
    let announced = ears.hear(Channel::Status, |datagram| match datagram {
        Datagram::Status(status) => Some(status.endpoint.port),
        Datagram::Transaction(_) => None,
    });
    assert_eq!(announced, PORTS.1);
    TcpStream::connect(("127.0.0.1", PORTS.1)).expect("blocks are served there");

    reaches(&mut miner, 1);
    let alice = new_address(&home, "alice");
    let sent = send(&home, "mining_rewards", "1", &alice);
    let heard = ears.hear(Channel::Transactions, |datagram| match datagram {
        Datagram::Transaction(payment) => Some(payment.id().to_string()),
        Datagram::Status(_) => None,
    });
    assert_eq!(heard, sent);
    reaches(&mut miner, 2);
    reaches(&mut follow(&with_ports(&lab.home("wallet"))), 2);
}

/// The two intervals: whichever is short is the one whose datagrams are repeated.
pub fn the_two_intervals(program: &Path) {
    let (status, payment) = (
        "status_broadcast_interval_seconds",
        "transaction_broadcast_interval_seconds",
    );
    for (often, seldom, channel, other) in [
        (status, payment, Channel::Status, Channel::Transactions),
        (payment, status, Channel::Transactions, Channel::Status),
    ] {
        let lab = Lab::new(program);
        // A payment that never is confirmed: its block waits for seven more.
        let home = with_ports(&lab.bare_home("home"))
            .set("difficulty", 12)
            .set("block_size", 9);
        let mut first = mine(&home.set(status, OFTEN));
        reaches(&mut first, 1);
        first.kill();

        let alice = new_address(&home, "alice");
        send(&home, "mining_rewards", "1", &alice);
        let ears = Ears::open();
        let _miner = mine(&home.set(often, OFTEN).set(seldom, NEVER));
        for _ in 0..20 {
            ears.hear(channel, Some);
        }
        let heard = ears.waiting(other);
        assert!(
            heard <= 3,
            "{seldom} is {NEVER}, yet {heard} datagrams came"
        );
    }
}

fn with_ports(home: &Mvb) -> Mvb {
    home.set("status_broadcast_port", PORTS.0)
        .set("block_server_port", PORTS.1)
        .set("transaction_port", PORTS.2)
}

/// Listens on both UDP ports, as any process of the host may.
struct Ears {
    runtime: Runtime,
    status: Rc<dyn Datagrams>,
    transactions: Rc<dyn Datagrams>,
}

impl Ears {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let net = NetTransport::new(TransportConfig {
            status_port: PORTS.0,
            transaction_port: PORTS.2,
            ..TransportConfig::default()
        });
        let open = |channel| runtime.block_on(net.open(channel)).expect("a shared port");
        let (status, transactions) = (open(Channel::Status), open(Channel::Transactions));
        Self {
            runtime,
            status,
            transactions,
        }
    }

    /// Waits for a datagram that satisfies.
    fn hear<T>(&self, channel: Channel, wanted: impl Fn(Datagram) -> Option<T>) -> T {
        let heard = async {
            loop {
                if let Some(found) = wanted(self.next(channel).await) {
                    return found;
                }
            }
        };
        self.runtime
            .block_on(async { time::timeout(PATIENCE, heard).await })
            .unwrap_or_else(|_| panic!("nothing on {channel:?} after {PATIENCE:?}"))
    }

    /// How many datagrams have come and were not heard yet.
    fn waiting(&self, channel: Channel) -> usize {
        self.runtime.block_on(async {
            let mut count = 0;
            while time::timeout(time::Duration::ZERO, self.next(channel))
                .await
                .is_ok()
            {
                count += 1;
            }
            count
        })
    }

    async fn next(&self, channel: Channel) -> Datagram {
        let socket = match channel {
            Channel::Status => &self.status,
            Channel::Transactions => &self.transactions,
        };
        let mut buffer = [0; 2_048];
        let (length, _) = socket.receive(&mut buffer).await.expect("an open socket");
        Datagram::from_bytes(&buffer[..length]).expect("mvb sends what mvb reads")
    }
}
