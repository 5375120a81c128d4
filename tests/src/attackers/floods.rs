//! Floods of datagrams, and the lies in them.

use super::{attacker, bytes, node, only_inside};
use crate::process::Stopwatch;
use mvb_actors::env::RandomStream;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::Tip,
    hash::BlockId,
    keys::{Curve, PublicKey, SecretKey, Signature},
    numbers::{Height, Sequence, Timestamp},
    params::ChainParams,
    target::Work,
    transaction::{Payment, Transaction},
    wire::{Announcement, Endpoint, Status},
};
use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Where every process of a host listens.
const EVERYBODY: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// How many addresses a flood comes from.
const SOURCES: usize = 256;

/// How often a flood looks at the time.
const BEAT: Duration = Duration::from_millis(1);

/// A tip that nobody has, with more work than anybody.
pub(super) fn invented_tip(random: &RandomStream) -> Tip {
    let mut work = [0; 32];
    work[8..].copy_from_slice(&bytes::<24>(random));
    Tip {
        id: BlockId(bytes(random)),
        height: Height(1_000 + random.below(1 << 40)),
        work: Work::from_be_bytes(work),
    }
}

/// Statuses of tips that nobody has, each from another node; at `port` where one is named,
/// else at ports where nobody listens.
pub fn invented_statuses(
    params: &ChainParams,
    count: usize,
    port: Option<u16>,
    random: &RandomStream,
) -> Vec<Vec<u8>> {
    let status = |_| {
        let announcement = Announcement {
            params: params.clone(),
            tip: invented_tip(random),
        };
        let port = port.unwrap_or(20_000 + random.below(40_000) as u16);
        let endpoint = Endpoint {
            node: node(random),
            port,
        };
        Status {
            announcement,
            endpoint,
        }
        .to_datagram()
    };
    (0..count).map(status).collect()
}

/// Payments that nobody made: half of them in the name of `victim`, whose balance covers
/// them, under signatures of garbage; half by keys that own nothing.
pub fn forged_payments(
    params: &ChainParams,
    count: usize,
    victim: &PublicKey,
    next: Sequence,
    random: &RandomStream,
) -> Vec<Vec<u8>> {
    let poor = SecretKey::from_bytes(Curve::P256, &[7; 32]).expect("a number below the order");
    let forged = |index: usize| {
        let payment = Payment {
            genesis: params.genesis_id(),
            to: Address(bytes(random)),
            amount: Amount::from_units(1),
            fee: Amount::from_units(1 + random.below(1_000)),
            sequence: Sequence(next.0 + random.below(32)),
            timestamp: Timestamp(random.next_u64() >> 20),
        };
        let mut transaction = payment.sign(&poor);
        if index.is_multiple_of(2) {
            transaction.key = victim.clone();
            // Both halves small enough to be scalars, and the second one low.
            let mut signature = [0; 64];
            signature[1..32].copy_from_slice(&bytes::<31>(random));
            signature[33..].copy_from_slice(&bytes::<31>(random));
            transaction.signature = Signature::from_bytes(&signature).expect("64 bytes");
        }
        Transaction::to_datagram(&transaction)
    };
    (0..count).map(forged).collect()
}

/// A flood, sent by a thread of its own.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Flood {
    /// Sends datagrams to everybody on a port, over and over, `per_second` of them a second
    /// and for `longest` at most.
    pub fn begin(port: u16, datagrams: Vec<Vec<u8>>, per_second: u64, longest: Duration) -> Self {
        only_inside();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let socket = |number| {
                let socket = UdpSocket::bind((attacker(number), 0)).expect("loopback has room");
                socket.set_broadcast(true).expect("a socket option");
                socket
            };
            let sockets: Vec<_> = (0..SOURCES).map(socket).collect();
            let mut pairs = sockets.iter().cycle().zip(datagrams.iter().cycle());
            let began = Stopwatch::start();
            let mut sent = 0;
            while began.elapsed() < longest && !stopped.load(Ordering::Relaxed) {
                let due = (began.elapsed().as_secs_f64() * per_second as f64) as u64;
                // What could not be sent in time is not made up for in a burst.
                for (socket, datagram) in pairs.by_ref().take((due - sent).min(2_000) as usize) {
                    // A full buffer drops it, which is what a flood is about.
                    let _ = socket.send_to(datagram, (EVERYBODY, port));
                }
                sent = due;
                thread::sleep(BEAT);
            }
            sent
        });
        Self { stop, thread }
    }

    /// Ends it. How many datagrams it sent at most.
    pub fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flood only sends")
    }
}
