//! Receives datagrams: drains one shared UDP port, decodes what comes and hands it to the
//! intake or the fork resolver. A task, not an actor: it has no state to ask for.
//!
//! A datagram is never evidence and is never answered. What is no message is counted; what
//! comes faster than its actor can take it is dropped and counted.

use crate::{
    env::{Channel, Datagrams, Env},
    messages::{PeerStatus, SubmitTransaction, TransactionSource},
    view::Counters,
};
use actix::{Message, Recipient, dev::SendError};
use mvb_protocol::wire::{Datagram, MAX_STATUS_BYTES, MAX_TRANSACTION_BYTES};
use std::{cell::Cell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

/// Room for one byte more than any datagram may have, so that a longer one, which arrives
/// cut to the buffer, is still seen to be too long.
const BUFFER_BYTES: usize = 1 + if MAX_STATUS_BYTES > MAX_TRANSACTION_BYTES {
    MAX_STATUS_BYTES
} else {
    MAX_TRANSACTION_BYTES
};

/// How many datagrams are taken before others get their turn.
const BATCH: u32 = 64;

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
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, source)) => {
                failed = None;
                dispatch(&env, channel, &ports, &buffer[..length], source);
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

fn dispatch(env: &Env, channel: Channel, ports: &DatagramPorts, bytes: &[u8], source: SocketAddr) {
    let counters = &env.view.counters;
    let dropped = &counters.dropped_datagrams;
    match (channel, Datagram::from_bytes(bytes)) {
        (Channel::Status, Ok(Datagram::Status(status))) => {
            if status.endpoint.node != env.node {
                let status = *status;
                forward(&ports.resolver, PeerStatus { status, source }, dropped);
            }
        }
        (Channel::Transactions, Ok(Datagram::Transaction(transaction))) => {
            let submit = SubmitTransaction {
                transaction: Arc::from(transaction),
                source: TransactionSource::Datagram(source.ip()),
            };
            forward(&ports.intake, submit, dropped);
        }
        (_, Ok(_)) => Counters::count(&counters.bad_datagrams),
        (_, Err(error)) => {
            tracing::trace!(%source, %error, "bad datagram");
            Counters::count(&counters.bad_datagrams);
        }
    }
}

fn forward<M>(to: &Recipient<M>, message: M, dropped: &Cell<u64>)
where
    M: Message + Send,
    M::Result: Send,
{
    match to.try_send(message) {
        Ok(()) => {}
        // Closed means that the node is shutting down.
        Err(SendError::Full(_) | SendError::Closed(_)) => Counters::count(dropped),
    }
}
