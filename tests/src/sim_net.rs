//! The simulated network: the Env's transport over turmoil. It adds what turmoil's links
//! do not have: single lost and doubled datagrams, connections into a void, and a machine
//! without power that neither hears nor says anything. A broadcast reaches its sender too,
//! as it does on a real host.

use crate::sim_env::{Power, Trace};
use futures::future::LocalBoxFuture;
use mvb_actors::env::{BoxStream, Channel, Datagrams, Listener, RandomStream, Transport};
use mvb_protocol::{hash::sha256, wire::Datagram};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OnceCell,
};

/// The port of the block server on every simulated machine.
pub const BLOCK_SERVER_PORT: u16 = 2607;

/// How long a connection into a void waits for its answer, as Linux does.
const VOID: Duration = Duration::from_secs(127);

/// What a datagram begins with whose source is forged, as on a real network it could be.
const FORGED: &[u8; 6] = b"forged";

/// A datagram that its receiver takes to come from `source`.
pub fn forged(source: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    let IpAddr::V4(address) = source.ip() else {
        return datagram.to_vec();
    };
    let (address, port) = (address.octets(), source.port().to_be_bytes());
    [&FORGED[..], &address, &port, datagram].concat()
}

/// Takes the forged source off a datagram in the buffer, if it has one.
fn unforged(buffer: &mut [u8], length: usize, source: SocketAddr) -> (usize, SocketAddr) {
    let Some((head, datagram)) = buffer[..length].split_at_checked(12) else {
        return (length, source);
    };
    if !head.starts_with(FORGED) {
        return (length, source);
    }
    let address = Ipv4Addr::new(head[6], head[7], head[8], head[9]);
    let port = u16::from_be_bytes([head[10], head[11]]);
    let left = datagram.len();
    buffer.copy_within(12..length, 0);
    (left, SocketAddr::new(address.into(), port))
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What goes wrong on the whole network, changed by the harness as it runs.
#[derive(Debug, Default)]
pub struct Weather {
    /// The share of datagrams that are lost at their receiver, from 0 to 1.
    pub loss: Cell<f64>,
    /// The share of datagrams that are sent twice.
    pub doubled: Cell<f64>,
    /// How many datagrams were lost or doubled so far.
    pub disturbed: Cell<u64>,
}

impl Weather {
    /// Whether something that happens to a `share` of all datagrams happens now.
    fn strikes(&self, share: &Cell<f64>, random: &RandomStream) -> bool {
        let strikes = share.get() > 0.0 && random.unit() < share.get();
        self.disturbed
            .set(self.disturbed.get() + u64::from(strikes));
        strikes
    }
}

/// What one boot of a machine shares among its sockets.
#[derive(Clone)]
pub struct Wire {
    /// The machine's number, for the trace.
    pub machine: usize,
    /// The boot's power.
    pub power: Power,
    /// The network's weather.
    pub weather: Rc<Weather>,
    /// A stream of its own, so that traffic does not shift other random choices.
    pub random: Rc<RandomStream>,
    /// Where everything is noted.
    pub trace: Trace,
    /// What the node has announced as its tip, newest last, for the checks.
    pub announced: Rc<RefCell<Vec<mvb_protocol::chain::Tip>>>,
    /// The addresses that datagrams came from, and those the node dialled without.
    pub dialled: Rc<RefCell<Dialled>>,
}

/// Whom a machine heard, and whom it dialled though nothing was heard from there.
#[derive(Debug, Default)]
pub struct Dialled {
    /// The sources of datagrams, and the peers that the node was told to ask.
    pub known: BTreeSet<IpAddr>,
    /// The first address dialled that is not among them.
    pub unheard: Option<IpAddr>,
}

/// The network as one boot of a machine sees it.
pub struct SimTransport {
    wire: Wire,
    sender: OnceCell<turmoil::net::UdpSocket>,
}

impl SimTransport {
    /// The network through `wire`.
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            sender: OnceCell::new(),
        }
    }

    /// The private socket that sends: a shared port would be named as the source of what
    /// it did not send.
    async fn sender(&self) -> io::Result<&turmoil::net::UdpSocket> {
        self.sender
            .get_or_try_init(|| async {
                let socket = turmoil::net::UdpSocket::bind((ANY, 0)).await?;
                socket.set_broadcast(true)?;
                Ok(socket)
            })
            .await
    }
}

fn port(channel: Channel) -> u16 {
    match channel {
        Channel::Status => 2606,
        Channel::Transactions => 2608,
    }
}

impl Transport for SimTransport {
    fn open(&self, channel: Channel) -> LocalBoxFuture<'_, io::Result<Rc<dyn Datagrams>>> {
        Box::pin(async move {
            self.wire.power.needed().await;
            let socket = turmoil::net::UdpSocket::bind((ANY, port(channel))).await?;
            let wire = self.wire.clone();
            Ok(Rc::new(SimDatagrams { wire, socket }) as Rc<dyn Datagrams>)
        })
    }

    fn broadcast<'a>(
        &'a self,
        channel: Channel,
        bytes: &'a [u8],
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.wire.power.needed().await;
            self.wire.note_broadcast(channel, bytes);
            let to = (Ipv4Addr::BROADCAST, port(channel));
            let sender = self.sender().await?;
            sender.send_to(bytes, to).await?;
            let weather = &self.wire.weather;
            if weather.strikes(&weather.doubled, &self.wire.random) {
                sender.send_to(bytes, to).await?;
            }
            Ok(())
        })
    }

    fn listen(&self) -> LocalBoxFuture<'_, io::Result<Rc<dyn Listener>>> {
        Box::pin(async move {
            self.wire.power.needed().await;
            let listener = turmoil::net::TcpListener::bind((ANY, BLOCK_SERVER_PORT)).await?;
            let power = self.wire.power.clone();
            Ok(Rc::new(SimListener { power, listener }) as Rc<dyn Listener>)
        })
    }

    fn connect(&self, peer: SocketAddr) -> LocalBoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(async move {
            self.wire.power.needed().await;
            self.wire.dialled.borrow_mut().dial(peer.ip());
            let result = turmoil::net::TcpStream::connect(peer).await;
            let outcome = if result.is_ok() {
                "connected"
            } else {
                "refused"
            };
            let event = format!("{outcome} to {peer}");
            self.wire.trace.note(None, self.wire.machine, &event);
            // Turmoil refuses at once what a lost packet would leave unanswered.
            if result.is_err() && self.wire.random.below(2) == 0 {
                tokio::time::sleep(VOID).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
            let power = self.wire.power.clone();
            Ok(Box::new(SimStream {
                power,
                inner: result?,
            }) as BoxStream)
        })
    }
}

impl Dialled {
    fn dial(&mut self, peer: IpAddr) {
        if !self.known.contains(&peer) {
            self.unheard.get_or_insert(peer);
        }
    }
}

impl Wire {
    fn note_broadcast(&self, channel: Channel, bytes: &[u8]) {
        if let Ok(Datagram::Status(status)) = Datagram::from_bytes(bytes) {
            let mut announced = self.announced.borrow_mut();
            if announced.last() != Some(&status.announcement.tip) {
                announced.push(status.announcement.tip);
            }
        }
        let digest = u32::from_be_bytes(
            sha256(&[bytes])[..4]
                .try_into()
                .expect("a hash has more than four bytes"),
        );
        let event = format!("{channel:?} {} bytes {digest:08x}", bytes.len());
        self.trace.note(None, self.machine, &event);
    }
}

struct SimDatagrams {
    wire: Wire,
    socket: turmoil::net::UdpSocket,
}

impl Datagrams for SimDatagrams {
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> LocalBoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(async move {
            loop {
                self.wire.power.needed().await;
                let (length, source) = self.socket.recv_from(buffer).await?;
                let weather = &self.wire.weather;
                if !weather.strikes(&weather.loss, &self.wire.random) {
                    let (length, source) = unforged(buffer, length, source);
                    self.wire.dialled.borrow_mut().known.insert(source.ip());
                    return Ok((length, source));
                }
            }
        })
    }
}

struct SimListener {
    power: Power,
    listener: turmoil::net::TcpListener,
}

impl Listener for SimListener {
    fn port(&self) -> u16 {
        BLOCK_SERVER_PORT
    }

    fn accept(&self) -> LocalBoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            self.power.needed().await;
            let (inner, peer) = self.listener.accept().await?;
            let power = self.power.clone();
            Ok((Box::new(SimStream { power, inner }) as BoxStream, peer))
        })
    }
}

/// A stream that falls silent when the power is cut.
struct SimStream {
    power: Power,
    inner: turmoil::net::TcpStream,
}

impl SimStream {
    fn powered<T>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut turmoil::net::TcpStream>) -> Poll<T>,
    ) -> Poll<T> {
        let this = self.get_mut();
        if this.power.is_on() {
            poll(Pin::new(&mut this.inner))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.powered(|inner| inner.poll_read(cx, buffer))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.powered(|inner| inner.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.powered(|inner| inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.powered(|inner| inner.poll_shutdown(cx))
    }
}
