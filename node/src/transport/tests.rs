//! The transport on loopback. Ports are the system's choice, so that no test needs a free
//! one; each test looks for its own datagrams only.

use super::*;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Holds a UDP port that nobody else is given, shared the way the transport shares it.
fn some_shared_port() -> (UdpSocket, u16) {
    let socket = local::shared_socket(local::BROADCAST, 0).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn local_transport(status_port: u16) -> NetTransport {
    NetTransport::new(TransportConfig {
        status_port,
        ..TransportConfig::default()
    })
}

async fn hear(datagrams: &Rc<dyn Datagrams>, expected: &[u8]) -> SocketAddr {
    let mut buffer = [0; 64];
    timeout(PATIENCE, async {
        loop {
            let (length, source) = datagrams.receive(&mut buffer).await.unwrap();
            if &buffer[..length] == expected {
                return source;
            }
        }
    })
    .await
    .expect("the datagram arrives")
}

#[tokio::test]
async fn a_broadcast_reaches_every_node_of_the_host_the_sender_included() {
    let (_held, port) = some_shared_port();
    let nodes: Vec<_> = (0..3).map(|_| local_transport(port)).collect();
    let mut ears = Vec::new();
    for node in &nodes {
        ears.push(node.open(Channel::Status).await.unwrap());
    }
    for (number, node) in nodes.iter().enumerate() {
        let words = [b"a broadcast by node ", &[number as u8][..]].concat();
        node.broadcast(Channel::Status, &words).await.unwrap();
        for ear in &ears {
            let source = hear(ear, &words).await;
            assert!(source.ip().is_loopback());
            assert_ne!(source.port(), port, "sent from a private socket");
        }
        assert_eq!(node.failed_sends(), 0);
    }
}

/// Hole 41 of the original: with SO_REUSEPORT the system shares a port among processes of
/// one user only.
#[tokio::test]
async fn a_shared_port_is_not_its_first_users_alone() {
    let (held, _) = some_shared_port();
    let socket = socket2::SockRef::from(&held);
    assert!(socket.reuse_address().unwrap());
    assert!(!socket.reuse_port().unwrap());
}

#[tokio::test]
async fn the_two_channels_are_two_ports() {
    let ((_a, status_port), (_b, transaction_port)) = (some_shared_port(), some_shared_port());
    let node = NetTransport::new(TransportConfig {
        status_port,
        transaction_port,
        ..TransportConfig::default()
    });
    let payments = node.open(Channel::Transactions).await.unwrap();
    node.broadcast(Channel::Status, b"a status").await.unwrap();
    node.broadcast(Channel::Transactions, b"a payment")
        .await
        .unwrap();
    let mut buffer = [0; 64];
    let (length, _) = timeout(PATIENCE, payments.receive(&mut buffer))
        .await
        .expect("the payment arrives")
        .unwrap();
    assert_eq!(&buffer[..length], b"a payment");
}

#[tokio::test]
async fn a_udp_port_that_is_not_shared_is_named() {
    let held = std::net::UdpSocket::bind((local::BROADCAST, 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    let error = local_transport(port)
        .open(Channel::Status)
        .await
        .err()
        .expect("the port is held");
    let words = error.to_string();
    assert!(words.contains(&format!("status_broadcast_port {port} (UDP)")));
}

async fn listener(port: u16, explicit: bool) -> io::Result<Rc<dyn Listener>> {
    NetTransport::new(TransportConfig {
        block_server_port: port,
        block_server_port_is_explicit: explicit,
        ..TransportConfig::default()
    })
    .listen()
    .await
}

/// A TCP port that somebody listens on.
fn busy_port() -> (std::net::TcpListener, u16) {
    let held = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    (held, port)
}

#[tokio::test]
async fn where_the_block_servers_port_is_busy_the_next_free_one_is_taken() {
    let (_held, port) = busy_port();
    let first = listener(port, false).await.unwrap();
    let second = listener(port, false).await.unwrap();
    assert!(first.port() > port && second.port() > port);
    assert_ne!(first.port(), second.port());
}

#[tokio::test]
async fn a_busy_port_that_was_asked_for_is_an_error_that_names_it() {
    let (_held, port) = busy_port();
    let error = listener(port, true).await.err().expect("the port is busy");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(
        error
            .to_string()
            .contains(&format!("block_server_port {port} (TCP) is busy"))
    );
}

#[tokio::test]
async fn a_port_below_1024_is_never_announced() {
    for port in [0, 80, 1023] {
        let error = listener(port, false).await.err().expect("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn a_connection_carries_bytes_both_ways() {
    let (_held, port) = busy_port();
    let server = listener(port, false).await.unwrap();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let client = local_transport(0);
    let (dialled, accepted) = tokio::join!(client.connect(peer), server.accept());
    let (mut dialled, (mut accepted, source)) = (dialled.unwrap(), accepted.unwrap());
    assert!(source.ip().is_loopback());
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut dialled, &mut accepted];
        let mut heard = [0; 5];
        ends[from].write_all(b"hello").await.unwrap();
        ends[to].read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
}

/// A thousand clients that took nothing of what they asked for had the system hold 660 MiB.
#[tokio::test]
async fn the_system_holds_little_for_a_peer_that_takes_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap());
    let (_dialled, accepted) = tokio::join!(dialled, listener.accept());
    let (accepted, _) = accepted.unwrap();
    tune(&accepted);
    let socket = socket2::SockRef::from(&accepted);
    // Linux doubles it for its own bookkeeping.
    let held = socket.send_buffer_size().unwrap();
    assert!(held <= 2 * SEND_BUFFER_BYTES, "{held} bytes");
    assert!(socket.tcp_nodelay().unwrap());
}

#[tokio::test]
async fn in_local_another_machine_is_never_connected_to() {
    // No loopback address, yet with the rule broken it would still lead to this machine.
    let peer = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 2607));
    let refused = timeout(PATIENCE, local_transport(0).connect(peer)).await;
    let error = refused.expect("refused at once").err().expect("refused");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn a_network_reads_back_from_its_name() {
    for network in [Network::Local, Network::Lan] {
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    let error = "internet".parse::<Network>().unwrap_err().to_string();
    assert_eq!(error, "got network \"internet\", expected local or lan");
}

#[tokio::test]
async fn a_probe_of_the_loopback_network_comes_back() {
    let (_held, status_port) = some_shared_port();
    let config = TransportConfig {
        status_port,
        ..TransportConfig::default()
    };
    let ways = probe::reach(&config, Channel::Status, [7; 16], PATIENCE)
        .await
        .unwrap();
    assert_eq!(ways.len(), 1);
    assert!(matches!(ways[0].outcome, probe::Outcome::Heard), "{ways:?}");
}
