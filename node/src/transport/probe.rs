//! Whether broadcasts leave this machine: sends one datagram each way that a node would, and
//! waits for it to come back, as the system hands every broadcast to its own sockets too.
//! `doctor` asks it; no node uses it. The datagram is no message, so nodes that hear it
//! count it and do nothing.

use super::{Network, TransportConfig, lan, local};
use mvb_actors::env::Channel;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

/// What the datagram begins with; a random name follows, so that no other doctor's is taken
/// for this one's.
const GREETING: &[u8; 11] = b"mvb doctor ";

/// The datagram's size.
const PROBE_BYTES: usize = GREETING.len() + 16;

/// A way out of this machine, and what came of a datagram sent that way.
#[derive(Debug)]
pub struct Way {
    /// The interface's name.
    pub interface: String,
    /// This machine's address on it.
    pub own: Ipv4Addr,
    /// The address that everybody on it hears.
    pub broadcast: Ipv4Addr,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a datagram.
#[derive(Debug)]
pub enum Outcome {
    /// It came back.
    Heard,
    /// It was sent and did not come back.
    Lost,
    /// It could not be sent.
    NotSent(io::Error),
}

/// Sends a datagram to a channel's port every way that this configuration uses, and waits at
/// most `patience` for what comes back. `name` makes it this probe's own.
///
/// # Errors
/// When the port cannot be listened on, or the interfaces cannot be listed.
pub async fn reach(
    config: &TransportConfig,
    channel: Channel,
    name: [u8; 16],
    patience: Duration,
) -> io::Result<Vec<Way>> {
    let (port, _) = config.udp(channel);
    let receiver = local::shared_socket(super::listening_address(config.network), port)?;
    let mut probe = [0; PROBE_BYTES];
    probe[..GREETING.len()].copy_from_slice(GREETING);
    probe[GREETING.len()..].copy_from_slice(&name);

    let mut sent = Vec::new();
    for (interface, own, broadcast) in ways(config)? {
        let (source, outcome) = match send(own, (broadcast, port), &probe).await {
            Ok(source) => (Some(source), Outcome::Lost),
            Err(error) => (None, Outcome::NotSent(error)),
        };
        let way = Way {
            interface,
            own,
            broadcast,
            outcome,
        };
        sent.push((source, way));
    }
    hear(&receiver, &probe, &mut sent, patience).await;
    Ok(sent.into_iter().map(|(_, way)| way).collect())
}

fn ways(config: &TransportConfig) -> io::Result<Vec<(String, Ipv4Addr, Ipv4Addr)>> {
    let loopback = ("loopback".to_owned(), Ipv4Addr::LOCALHOST, local::BROADCAST);
    let mut ways = vec![loopback];
    if config.network == Network::Lan {
        let networks = lan::networks(&config.interfaces)?;
        ways.extend(networks.into_iter().map(|network| {
            let lan::Network {
                name,
                own,
                broadcast,
                ..
            } = network;
            (name, own, broadcast)
        }));
    }
    Ok(ways)
}

/// Sends from a socket of its own, as a node does, and returns its address. The socket may be
/// closed at once: the datagram is on its way.
async fn send(own: Ipv4Addr, to: (Ipv4Addr, u16), probe: &[u8]) -> io::Result<SocketAddr> {
    let socket = local::private_socket(own)?;
    socket.send_to(probe, to).await?;
    socket.local_addr()
}

async fn hear(
    receiver: &UdpSocket,
    probe: &[u8],
    sent: &mut [(Option<SocketAddr>, Way)],
    patience: Duration,
) {
    let end = Instant::now() + patience;
    let mut buffer = [0; PROBE_BYTES + 1];
    let lost = |(_, way): &(_, Way)| matches!(way.outcome, Outcome::Lost);
    while sent.iter().any(lost) {
        let Ok(Ok((length, source))) = timeout_at(end, receiver.recv_from(&mut buffer)).await
        else {
            return;
        };
        if buffer[..length] != *probe {
            continue;
        }
        for (from, way) in sent.iter_mut() {
            if *from == Some(source) {
                way.outcome = Outcome::Heard;
            }
        }
    }
}
