//! Receives datagrams: drains one shared UDP port, decodes what comes and hands it to the
//! intake or the fork resolver. A task, not an actor: it has no state to ask for.
//!
//! A datagram is never evidence and is never answered. What is no message is counted. Statuses
//! that come faster than their actor can take them are dropped and counted: the next one says
//! the same. A payment is taken from the socket only while few others are being looked at, so
//! that a burst waits in the system's receive buffer, which has room for some ten thousand.

use crate::{
    env::{Channel, Datagrams, Env},
    messages::{PeerStatus, SubmitTransaction, TransactionSource},
    view::Counters,
};
use actix::{
    Recipient,
    dev::{RecipientRequest, SendError},
};
use futures::{StreamExt, stream::FuturesUnordered};
use mvb_protocol::wire::{Datagram, MAX_STATUS_BYTES, MAX_TRANSACTION_BYTES};
use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

/// Room for one byte more than any datagram may have, so that a longer one, which arrives
/// cut to the buffer, is still seen to be too long.
const BUFFER_BYTES: usize = 1 + if MAX_STATUS_BYTES > MAX_TRANSACTION_BYTES {
    MAX_STATUS_BYTES
} else {
    MAX_TRANSACTION_BYTES
};

/// How many datagrams are taken before others get their turn.
const BATCH: u32 = 64;

/// How many payments may be with the intake, signatures being verified included.
const MOST_AWAITED: usize = 256;

/// How long to wait after the socket failed.
const BACK_OFF: Duration = Duration::from_millis(200);

/// Where datagrams go.
#[derive(Clone)]
pub struct DatagramPorts {
    /// The TransactionIntake.
    pub intake: Recipient<SubmitTransaction>,
    /// The ForkResolver.
    pub resolver: Recipient<PeerStatus>,
}

/// Receives a channel's datagrams until it is dropped.
pub async fn receive(env: Env, channel: Channel, socket: Rc<dyn Datagrams>, ports: DatagramPorts) {
    let mut buffer = [0; BUFFER_BYTES];
    let mut batch = 0;
    let mut failed = None;
    let mut awaited = FuturesUnordered::new();
    loop {
        let received = tokio::select! {
            biased;
            Some(_) = awaited.next() => continue,
            received = socket.receive(&mut buffer), if awaited.len() < MOST_AWAITED => received,
        };
        match received {
            Ok((length, source)) => {
                failed = None;
                awaited.extend(dispatch(&env, channel, &ports, &buffer[..length], source));
            }
            Err(error) => {
                if failed.replace(error.kind()) != Some(error.kind()) {
                    tracing::warn!(?channel, %error, "cannot receive datagrams");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
        batch = (batch + 1) % BATCH;
        if batch == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Hands a datagram to its actor. What becomes of a payment is awaited.
fn dispatch(
    env: &Env,
    channel: Channel,
    ports: &DatagramPorts,
    bytes: &[u8],
    source: SocketAddr,
) -> Option<RecipientRequest<SubmitTransaction>> {
    let counters = &env.view.counters;
    match (channel, Datagram::from_bytes(bytes)) {
        (Channel::Status, Ok(Datagram::Status(status))) => {
            if status.endpoint.node != env.node {
                let status = *status;
                match ports.resolver.try_send(PeerStatus { status, source }) {
                    Ok(()) => {}
                    // Closed means that the node is shutting down.
                    Err(SendError::Full(_) | SendError::Closed(_)) => {
                        Counters::count(&counters.dropped_datagrams);
                    }
                }
            }
        }
        (Channel::Transactions, Ok(Datagram::Transaction(transaction))) => {
            return Some(ports.intake.send(SubmitTransaction {
                transaction: Arc::from(transaction),
                source: TransactionSource::Datagram(source.ip()),
            }));
        }
        (_, Ok(_)) => Counters::count(&counters.bad_datagrams),
        (_, Err(error)) => {
            tracing::trace!(%source, %error, "bad datagram");
            Counters::count(&counters.bad_datagrams);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        messages::Refusal,
        testing::{Seen, World, answering, easy_params, local, probe},
    };
    use futures::{FutureExt, future::LocalBoxFuture};
    use mvb_protocol::{
        address::Address,
        amount::Amount,
        chain::Tip,
        hash::TxId,
        keys::{Curve, SecretKey},
        numbers::{Sequence, Timestamp},
        params::ChainParams,
        transaction::{Payment, Transaction},
        wire::{Announcement, Endpoint, NodeId, Status},
    };
    use std::{
        cell::{Cell, RefCell},
        io,
    };
    use tokio::sync::oneshot;

    const PEER: &str = "127.0.0.1:5000";

    struct Rig {
        world: World,
        statuses: Seen<PeerStatus>,
        payments: Seen<SubmitTransaction>,
    }

    impl Rig {
        async fn start(wrap: impl FnOnce(Rc<dyn Datagrams>) -> Rc<dyn Datagrams>) -> Self {
            let world = World::new(&easy_params());
            let (resolver, statuses) = probe();
            let (intake, payments) =
                answering(|m: &SubmitTransaction| Ok::<TxId, Refusal>(m.transaction.id()));
            let ports = DatagramPorts { intake, resolver };
            let transactions = world.env.net.open(Channel::Transactions).await.unwrap();
            let status = wrap(world.env.net.open(Channel::Status).await.unwrap());
            for (channel, socket) in [
                (Channel::Status, status),
                (Channel::Transactions, transactions),
            ] {
                let receiver = receive(world.env.clone(), channel, socket, ports.clone());
                tokio::task::spawn_local(receiver);
            }
            Self {
                world,
                statuses,
                payments,
            }
        }

        async fn hear(&self, channel: Channel, bytes: &[u8]) {
            self.world
                .net
                .deliver(channel, bytes, PEER.parse().unwrap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        /// Bad and dropped datagrams.
        fn counted(&self) -> (u64, u64) {
            let counters = &self.world.env.view.counters;
            (
                counters.bad_datagrams.get(),
                counters.dropped_datagrams.get(),
            )
        }
    }

    fn status(node: u8, params: ChainParams) -> Vec<u8> {
        let tip = Tip::genesis(params.genesis_id());
        let endpoint = Endpoint {
            node: NodeId([node; 16]),
            port: 2_607,
        };
        Status {
            announcement: Announcement { params, tip },
            endpoint,
        }
        .to_datagram()
    }

    fn payment() -> Transaction {
        Payment {
            genesis: easy_params().genesis_id(),
            to: Address::default(),
            amount: Amount::from_units(1),
            fee: Amount::ZERO,
            sequence: Sequence(0),
            timestamp: Timestamp(0),
        }
        .sign(&SecretKey::from_bytes(Curve::P521, &[1; 66]).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn statuses_and_payments_reach_their_actors_with_their_source() {
        local(async {
            let rig = Rig::start(|socket| socket).await;
            rig.hear(Channel::Status, &status(2, easy_params())).await;
            let datagram = payment().to_datagram();
            rig.hear(Channel::Transactions, &datagram).await;
            let source: SocketAddr = PEER.parse().unwrap();
            assert_eq!(rig.statuses.borrow()[0].source, source);
            let heard = &rig.payments.borrow()[0];
            assert_eq!(*heard.transaction, payment());
            assert_eq!(heard.source, TransactionSource::Datagram(source.ip()));
            assert_eq!(rig.counted(), (0, 0));
        })
        .await;
    }

    /// FAULTS 16, hole 23: one's own echo is known by its node id.
    #[tokio::test(start_paused = true)]
    async fn the_echo_of_the_own_status_is_ignored() {
        local(async {
            let rig = Rig::start(|socket| socket).await;
            let own = rig.world.env.node.0[0];
            rig.hear(Channel::Status, &status(own, easy_params())).await;
            assert!(rig.statuses.borrow().is_empty());
            assert_eq!(rig.counted(), (0, 0));
        })
        .await;
    }

    /// FAULTS 6: the resolver tells it apart in words.
    #[tokio::test(start_paused = true)]
    async fn a_status_of_another_network_reaches_the_resolver_too() {
        local(async {
            let rig = Rig::start(|socket| socket).await;
            let other = ChainParams {
                difficulty: 20,
                ..easy_params()
            };
            rig.hear(Channel::Status, &status(2, other.clone())).await;
            assert_eq!(rig.statuses.borrow()[0].status.announcement.params, other);
        })
        .await;
    }

    /// FAULTS 1, 5, 9, 12 and hole 31: what is no message is counted and never answered.
    #[tokio::test(start_paused = true)]
    async fn what_is_no_message_is_counted_and_never_answered() {
        local(async {
            let rig = Rig::start(|socket| socket).await;
            let good = status(2, easy_params());
            let oversize = [good.as_slice(), &[0; 4_000]].concat();
            let mut later_version = good.clone();
            later_version[4] = 9;
            let bad: [&[u8]; 6] = [
                b"",
                b"garbage",
                &good[..good.len() - 1],
                &oversize,
                &later_version,
                &payment().to_datagram(),
            ];
            for bytes in bad {
                rig.hear(Channel::Status, bytes).await;
            }
            rig.hear(Channel::Transactions, &good).await;
            assert_eq!(rig.counted(), (7, 0));
            assert!(rig.statuses.borrow().is_empty() && rig.payments.borrow().is_empty());
            assert!(rig.world.net.sent.borrow().is_empty());
            assert!(rig.world.net.connects.borrow().is_empty());
        })
        .await;
    }

    /// FAULTS 11: a flood is dropped where it is heard, not queued.
    #[tokio::test(start_paused = true)]
    async fn what_comes_faster_than_its_actor_takes_it_is_dropped_and_counted() {
        local(async {
            let rig = Rig::start(|socket| socket).await;
            let (good, from) = (status(2, easy_params()), PEER.parse().unwrap());
            for _ in 0..10_000 {
                rig.world.net.deliver(Channel::Status, &good, from);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (bad, dropped) = rig.counted();
            let heard = rig.statuses.borrow().len() as u64;
            assert_eq!((bad, heard + dropped), (0, 10_000));
            assert!(heard > 0 && dropped > 0, "{heard} heard");
        })
        .await;
    }

    /// Where the answer to a payment goes.
    type Answer = oneshot::Sender<Result<TxId, Refusal>>;

    /// An intake that answers when the test says so.
    #[derive(Default)]
    struct Slow(Rc<RefCell<Vec<Answer>>>);

    impl actix::Actor for Slow {
        type Context = actix::Context<Self>;
    }

    impl actix::Handler<SubmitTransaction> for Slow {
        type Result = actix::ResponseFuture<Result<TxId, Refusal>>;

        fn handle(&mut self, _: SubmitTransaction, _: &mut Self::Context) -> Self::Result {
            let (answer, answered) = oneshot::channel();
            self.0.borrow_mut().push(answer);
            Box::pin(async move { answered.await.unwrap_or(Err(Refusal::Busy)) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn payments_wait_in_the_socket_while_many_are_being_looked_at() {
        local(async {
            let world = World::new(&easy_params());
            let (resolver, _) = probe();
            let slow = Slow::default();
            let asked = slow.0.clone();
            let intake = actix::Actor::start(slow).recipient();
            let socket = world.env.net.open(Channel::Transactions).await.unwrap();
            let receiver = receive(
                world.env.clone(),
                Channel::Transactions,
                socket,
                DatagramPorts { intake, resolver },
            );
            tokio::task::spawn_local(receiver);
            let count = 3 * MOST_AWAITED;
            for _ in 0..count {
                let datagram = payment().to_datagram();
                let from = PEER.parse().unwrap();
                world.net.deliver(Channel::Transactions, &datagram, from);
            }
            let mut heard = 0;
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let batch = std::mem::take(&mut *asked.borrow_mut());
                assert_eq!(batch.len(), MOST_AWAITED);
                heard += batch.len();
                for answer in batch {
                    answer.send(Err(Refusal::Full)).unwrap();
                }
            }
            assert_eq!(heard, count);
            assert_eq!(world.env.view.counters.dropped_datagrams.get(), 0);
        })
        .await;
    }

    /// A socket that fails now and then.
    struct Failing {
        socket: Rc<dyn Datagrams>,
        failures: Cell<u32>,
    }

    impl Datagrams for Failing {
        fn receive<'a>(
            &'a self,
            buffer: &'a mut [u8],
        ) -> LocalBoxFuture<'a, io::Result<(usize, SocketAddr)>> {
            match self.failures.get() {
                0 => self.socket.receive(buffer),
                failures => {
                    self.failures.set(failures - 1);
                    async { Err(io::ErrorKind::OutOfMemory.into()) }.boxed_local()
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_socket_is_tried_again_after_a_while() {
        local(async {
            let wrap = |socket| -> Rc<dyn Datagrams> {
                Rc::new(Failing {
                    socket,
                    failures: Cell::new(5),
                })
            };
            let start = tokio::time::Instant::now();
            let rig = Rig::start(wrap).await;
            rig.hear(Channel::Status, &status(2, easy_params())).await;
            assert!(rig.statuses.borrow().is_empty());
            crate::testing::until("heard", || !rig.statuses.borrow().is_empty()).await;
            assert!(start.elapsed() >= 5 * BACK_OFF);
        })
        .await;
    }
}
