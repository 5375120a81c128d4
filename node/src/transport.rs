//! The real network of a node: UDP broadcast and TCP over tokio. The wiring hands it to
//! the actors as their [`Transport`]; nothing else opens a socket. In `local` no packet
//! leaves the machine; `lan` adds the broadcast address of each interface. It knows
//! nothing of what the bytes mean.

mod lan;
mod local;
pub mod probe;

use futures::{FutureExt, future::LocalBoxFuture};
use lan::Interfaces;
use mvb_actors::env::{BoxStream, Channel, Datagrams, Listener, Transport};
use std::{
    cell::{Cell, RefCell},
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    str::FromStr,
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// How many ports from the default one on are tried before giving up.
const PORTS_TRIED: u16 = 1000;

/// Ports below this one belong to the system's services, and no peer connects to them.
const FIRST_ANNOUNCED_PORT: u16 = 1024;

/// Bytes of replies that the system holds for a peer that does not take them. It would make that
/// 4 MiB for each, of memory that cannot be swapped out, and the server fetch all that in vain.
/// Enough for 64 MiB a second at a round trip of 2 ms.
const SEND_BUFFER_BYTES: usize = 128 << 10;

/// How far a node's packets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Loopback only: nothing leaves this machine.
    #[default]
    Local,
    /// This machine, and everybody an interface's broadcast address reaches.
    Lan,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Lan => "lan",
        })
    }
}

/// A word that names no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("got network {got:?}, expected local or lan")]
pub struct UnknownNetwork {
    /// The word.
    pub got: String,
}

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "local" => Ok(Self::Local),
            "lan" => Ok(Self::Lan),
            _ => Err(UnknownNetwork {
                got: word.to_owned(),
            }),
        }
    }
}

/// What the transport needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportConfig {
    /// How far packets go.
    pub network: Network,
    /// In `lan`, the only interfaces used; all of them where this is empty.
    pub interfaces: Vec<String>,
    /// `status_broadcast_port`, UDP, shared by every process of a host.
    pub status_port: u16,
    /// `transaction_port`, UDP, shared by every process of a host.
    pub transaction_port: u16,
    /// `block_server_port`, TCP, one for each miner of a host.
    pub block_server_port: u16,
    /// Whether a person asked for that port: then no other will do.
    pub block_server_port_is_explicit: bool,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            network: Network::Local,
            interfaces: Vec::new(),
            status_port: 2606,
            transaction_port: 2608,
            block_server_port: 2607,
            block_server_port_is_explicit: false,
        }
    }
}

impl TransportConfig {
    /// A channel's port, and the parameter it comes from.
    pub fn udp(&self, channel: Channel) -> (u16, &'static str) {
        match channel {
            Channel::Status => (self.status_port, "status_broadcast_port"),
            Channel::Transactions => (self.transaction_port, "transaction_port"),
        }
    }
}

/// Why a port could not be had, each with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another program holds the UDP port and does not share it.
    #[error(
        "{parameter} {port} (UDP) is held by a program that does not share it: end that program, \
         or choose another port for every node of this network with --set {parameter}=PORT"
    )]
    NotShared {
        /// The port's parameter.
        parameter: &'static str,
        /// The port.
        port: u16,
    },
    /// The block server's port was asked for and is busy.
    #[error(
        "block_server_port {port} (TCP) is busy: choose another with --set block_server_port=PORT, \
         or leave it out to take the next free one"
    )]
    Busy {
        /// The port.
        port: u16,
    },
    /// Every port tried was busy.
    #[error(
        "the block server found no free port from {first} to {last}: choose one with \
         --set block_server_port=PORT"
    )]
    NoneFree {
        /// The first port tried.
        first: u16,
        /// The last port tried.
        last: u16,
    },
    /// A port that no peer would connect to.
    #[error("got block_server_port {port}, expected 1024 to 65535")]
    Privileged {
        /// The port.
        port: u16,
    },
}

impl From<PortError> for io::Error {
    fn from(error: PortError) -> Self {
        let kind = match error {
            PortError::Privileged { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::AddrInUse,
        };
        Self::new(kind, error)
    }
}

/// The sockets of one node.
pub struct NetTransport {
    config: TransportConfig,
    loopback: RefCell<Option<Rc<UdpSocket>>>,
    interfaces: Rc<Interfaces>,
    failed_sends: Cell<u64>,
}

impl NetTransport {
    /// A transport that has opened nothing yet.
    pub fn new(config: TransportConfig) -> Self {
        let interfaces = Rc::new(Interfaces::new(config.interfaces.clone()));
        Self {
            config,
            loopback: RefCell::new(None),
            interfaces,
            failed_sends: Cell::new(0),
        }
    }

    /// How many datagrams could not be sent on some interface since the node started.
    pub fn failed_sends(&self) -> u64 {
        self.failed_sends.get()
    }

    fn loopback(&self) -> io::Result<Rc<UdpSocket>> {
        let mut open = self.loopback.borrow_mut();
        let socket = match &*open {
            Some(socket) => socket.clone(),
            None => Rc::new(local::private_socket(Ipv4Addr::LOCALHOST)?),
        };
        *open = Some(socket.clone());
        Ok(socket)
    }

    async fn send_local(&self, port: u16, bytes: &[u8]) -> io::Result<()> {
        let socket = self.loopback()?;
        socket.send_to(bytes, (local::BROADCAST, port)).await?;
        Ok(())
    }

    /// Sends everywhere; one working way is enough, since a pulled cable is not the
    /// sender's concern.
    async fn send(&self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        let (port, _) = self.config.udp(channel);
        let mut outcome = self.send_local(port, bytes).await;
        let mut failed = u64::from(outcome.is_err());
        if self.config.network == Network::Lan {
            let sent = self.interfaces.send(port, bytes).await;
            failed += sent.failed;
            if sent.reached > 0 {
                outcome = Ok(());
            }
        }
        self.failed_sends
            .set(self.failed_sends.get().saturating_add(failed));
        outcome
    }

    fn bind(&self, channel: Channel) -> io::Result<Rc<dyn Datagrams>> {
        let (port, parameter) = self.config.udp(channel);
        let address = listening_address(self.config.network);
        let socket = local::shared_socket(address, port).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => PortError::NotShared { parameter, port }.into(),
            _ => error,
        })?;
        Ok(match self.config.network {
            Network::Local => Rc::new(local::LocalDatagrams(socket)),
            Network::Lan => Rc::new(lan::LanDatagrams::new(socket, self.interfaces.clone())),
        })
    }

    async fn bind_block_server(&self) -> io::Result<TcpListener> {
        let first = self.config.block_server_port;
        if first < FIRST_ANNOUNCED_PORT {
            return Err(PortError::Privileged { port: first }.into());
        }
        let address = match self.config.network {
            Network::Local => Ipv4Addr::LOCALHOST,
            Network::Lan => Ipv4Addr::UNSPECIFIED,
        };
        let last = first.saturating_add(PORTS_TRIED - 1);
        for port in first..=last {
            match TcpListener::bind((address, port)).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if self.config.block_server_port_is_explicit {
                        return Err(PortError::Busy { port }.into());
                    }
                }
                bound => return bound,
            }
        }
        Err(PortError::NoneFree { first, last }.into())
    }

    async fn dial(&self, peer: SocketAddr) -> io::Result<BoxStream> {
        if self.config.network == Network::Local && !peer.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{peer} is on another machine, which --network local never connects to"),
            ));
        }
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

impl Transport for NetTransport {
    fn open(&self, channel: Channel) -> LocalBoxFuture<'_, io::Result<Rc<dyn Datagrams>>> {
        async move { self.bind(channel) }.boxed_local()
    }

    fn broadcast<'a>(
        &'a self,
        channel: Channel,
        bytes: &'a [u8],
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        self.send(channel, bytes).boxed_local()
    }

    fn listen(&self) -> LocalBoxFuture<'_, io::Result<Rc<dyn Listener>>> {
        async move {
            let listener = self.bind_block_server().await?;
            let port = listener.local_addr()?.port();
            Ok(Rc::new(NetListener { listener, port }) as Rc<dyn Listener>)
        }
        .boxed_local()
    }

    fn connect(&self, peer: SocketAddr) -> LocalBoxFuture<'_, io::Result<BoxStream>> {
        self.dial(peer).boxed_local()
    }
}

/// Where broadcasts are listened for.
fn listening_address(network: Network) -> Ipv4Addr {
    match network {
        Network::Local => local::BROADCAST,
        Network::Lan => Ipv4Addr::UNSPECIFIED,
    }
}

/// The block server's port.
struct NetListener {
    listener: TcpListener,
    port: u16,
}

impl Listener for NetListener {
    fn port(&self) -> u16 {
        self.port
    }

    fn accept(&self) -> LocalBoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        async move {
            let (stream, peer) = self.listener.accept().await?;
            tune(&stream);
            Ok((Box::new(stream) as BoxStream, peer))
        }
        .boxed_local()
    }
}

/// Sets how an accepted connection sends. Where that fails the peer has gone already, which its
/// session finds out; it is no failure to accept.
fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER_BYTES));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a connection was closed as it was accepted");
    }
}

#[cfg(test)]
mod tests;
