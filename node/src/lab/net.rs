//! The lab's network: datagrams and connections in memory between machines that are on the
//! same side. Cutting it ends the connections across the cut, as a pulled cable would in the
//! end; what is sent across it is lost without a word.

use futures::future::LocalBoxFuture;
use mvb_actors::env::{BoxStream, Channel, Datagrams, Listener, Transport};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};
use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    sync::{Mutex, mpsc, watch},
};

/// The block server's port on every machine.
const PORT: u16 = 2607;

/// The most datagrams, and connections, that wait for a machine to take them.
const MOST_DATAGRAMS: usize = 1_024;
const MOST_CONNECTIONS: usize = 64;

/// What a connection holds in each direction.
const BUFFER: usize = 64 << 10;

type Inbox = mpsc::Sender<(Vec<u8>, SocketAddr)>;
type Backlog = mpsc::Sender<(BoxStream, SocketAddr)>;

/// All machines' sockets, and which side each machine is on.
pub(super) struct Cables {
    sides: watch::Sender<Vec<usize>>,
    inboxes: RefCell<BTreeMap<(usize, Channel), Inbox>>,
    backlogs: RefCell<BTreeMap<usize, Backlog>>,
    /// The port of the next connection's dialler.
    dialler: Cell<u16>,
    /// The machine that does not listen to payments, if there is one.
    deaf: Cell<Option<usize>>,
}

impl Cables {
    /// So many machines on one side, without sockets yet.
    pub(super) fn new(machines: usize) -> Self {
        Self {
            sides: watch::Sender::new(vec![0; machines]),
            inboxes: RefCell::default(),
            backlogs: RefCell::default(),
            dialler: Cell::new(0),
            deaf: Cell::new(None),
        }
    }

    /// Puts each machine on a side.
    pub(super) fn set_sides(&self, sides: Vec<usize>) {
        self.sides.send_replace(sides);
    }

    /// Lets one machine at most hear no payments of others.
    pub(super) fn set_deaf(&self, machine: Option<usize>) {
        self.deaf.set(machine);
    }

    /// Whether there is more than one side.
    pub(super) fn is_split(&self) -> bool {
        let sides = self.sides.borrow();
        sides.iter().any(|side| Some(side) != sides.first())
    }

    /// Whether what one machine sends reaches another.
    pub(super) fn reaches(&self, one: usize, other: usize) -> bool {
        reaches(&self.sides.borrow(), one, other)
    }

    /// The network as a machine sees it.
    pub(super) fn plug(self: &Rc<Self>, machine: usize) -> LabTransport {
        LabTransport {
            cables: self.clone(),
            machine,
        }
    }
}

fn reaches(sides: &[usize], one: usize, other: usize) -> bool {
    sides
        .get(one)
        .is_some_and(|side| sides.get(other) == Some(side))
}

/// A machine's address: the first is 127.0.0.1. No socket of the system ever has it.
fn address(machine: usize) -> IpAddr {
    let last = u8::try_from(machine + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// A machine's end of the network.
pub(super) struct LabTransport {
    cables: Rc<Cables>,
    machine: usize,
}

impl LabTransport {
    /// A broadcast reaches its sender too, as it does for real.
    fn send(&self, channel: Channel, bytes: &[u8]) {
        let source = SocketAddr::new(address(self.machine), PORT);
        let sides = self.cables.sides.borrow();
        for ((machine, of), inbox) in self.cables.inboxes.borrow().iter() {
            let deaf = channel == Channel::Transactions
                && *machine != self.machine
                && self.cables.deaf.get() == Some(*machine);
            if *of == channel && !deaf && reaches(&sides, self.machine, *machine) {
                // Whoever does not keep up loses datagrams.
                let _ = inbox.try_send((bytes.to_vec(), source));
            }
        }
    }

    fn dial(&self, peer: SocketAddr) -> io::Result<BoxStream> {
        let cables = &self.cables;
        let count = cables.sides.borrow().len();
        let reached = (0..count).find(|machine| address(*machine) == peer.ip());
        let Some(to) = reached.filter(|to| cables.reaches(self.machine, *to)) else {
            return Err(io::ErrorKind::HostUnreachable.into());
        };
        let backlogs = cables.backlogs.borrow();
        let backlog = backlogs
            .get(&to)
            .filter(|_| peer.port() == PORT)
            .ok_or(io::ErrorKind::ConnectionRefused)?;
        let port = cables.dialler.get();
        cables.dialler.set(port.wrapping_add(1));
        let source = SocketAddr::new(address(self.machine), 32_768 + port % 32_768);
        let (dialler, near) = duplex(BUFFER);
        let (far, listener) = duplex(BUFFER);
        backlog
            .try_send((Box::new(listener), source))
            .map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let sides = cables.sides.subscribe();
        tokio::task::spawn_local(carry(near, far, sides, self.machine, to));
        Ok(Box::new(dialler))
    }
}

/// Carries a connection's bytes until one end closes it or the network is cut between them.
async fn carry(
    mut near: DuplexStream,
    mut far: DuplexStream,
    mut sides: watch::Receiver<Vec<usize>>,
    one: usize,
    other: usize,
) {
    tokio::select! {
        biased;
        // The sender lives as long as the lab; without one there is nobody left to talk.
        _ = sides.wait_for(|sides| !reaches(sides, one, other)) => {}
        // However it ends, both ends are closed by it.
        _ = copy_bidirectional(&mut near, &mut far) => {}
    }
}

impl Transport for LabTransport {
    fn open(&self, channel: Channel) -> LocalBoxFuture<'_, io::Result<Rc<dyn Datagrams>>> {
        let (inbox, datagrams) = mpsc::channel(MOST_DATAGRAMS);
        let mut inboxes = self.cables.inboxes.borrow_mut();
        inboxes.insert((self.machine, channel), inbox);
        let open = Rc::new(LabDatagrams(Mutex::new(datagrams)));
        Box::pin(async move { Ok(open as Rc<dyn Datagrams>) })
    }

    fn broadcast<'a>(
        &'a self,
        channel: Channel,
        bytes: &'a [u8],
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        self.send(channel, bytes);
        Box::pin(async { Ok(()) })
    }

    fn listen(&self) -> LocalBoxFuture<'_, io::Result<Rc<dyn Listener>>> {
        let (backlog, connections) = mpsc::channel(MOST_CONNECTIONS);
        self.cables
            .backlogs
            .borrow_mut()
            .insert(self.machine, backlog);
        let listener = Rc::new(LabListener(Mutex::new(connections)));
        Box::pin(async move { Ok(listener as Rc<dyn Listener>) })
    }

    fn connect(&self, peer: SocketAddr) -> LocalBoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(async move { self.dial(peer) })
    }
}

struct LabDatagrams(Mutex<mpsc::Receiver<(Vec<u8>, SocketAddr)>>);

impl Datagrams for LabDatagrams {
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> LocalBoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(async move {
            let received = self.0.lock().await.recv().await;
            let (bytes, source) = received.ok_or(io::ErrorKind::BrokenPipe)?;
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            Ok((length, source))
        })
    }
}

struct LabListener(Mutex<mpsc::Receiver<(BoxStream, SocketAddr)>>);

impl Listener for LabListener {
    fn port(&self) -> u16 {
        PORT
    }

    fn accept(&self) -> LocalBoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let accepted = self.0.lock().await.recv().await;
            accepted.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn peer(machine: usize) -> SocketAddr {
        SocketAddr::new(address(machine), PORT)
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_loses_datagrams_refuses_connections_and_ends_those_across_it() {
        let local = tokio::task::LocalSet::new();
        let test = async {
            let cables = Rc::new(Cables::new(3));
            let [one, two] = [0, 1].map(|machine| cables.plug(machine));
            let inbox = two.open(Channel::Status).await.unwrap();
            let listener = two.listen().await.unwrap();
            one.broadcast(Channel::Status, b"first").await.unwrap();
            let mut dialled = one.connect(peer(1)).await.unwrap();
            let (mut accepted, source) = listener.accept().await.unwrap();
            assert_eq!(source.ip(), address(0));
            dialled.write_all(b"hello").await.unwrap();
            let mut heard = [0; 5];
            accepted.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"hello");

            cables.set_sides(vec![0, 1, 1]);
            assert!(cables.is_split() && !cables.reaches(0, 1) && cables.reaches(1, 2));
            assert_eq!(dialled.read(&mut heard).await.unwrap(), 0);
            assert!(one.connect(peer(1)).await.is_err());
            one.broadcast(Channel::Status, b"lost").await.unwrap();

            cables.set_sides(vec![0; 3]);
            one.broadcast(Channel::Status, b"second").await.unwrap();
            let mut buffer = [0; 9];
            for expected in [&b"first"[..], b"second"] {
                let (length, source) = inbox.receive(&mut buffer).await.unwrap();
                assert_eq!((&buffer[..length], source), (expected, peer(0)));
            }
            assert!(one.connect(peer(1)).await.is_ok());
            assert!(one.connect(peer(2)).await.is_err(), "nobody listens there");
        };
        local.run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_bounded() {
        let cables = Rc::new(Cables::new(2));
        let [one, two] = [0, 1].map(|machine| cables.plug(machine));
        let inbox = two.open(Channel::Transactions).await.unwrap();
        for _ in 0..2 * MOST_DATAGRAMS {
            one.broadcast(Channel::Transactions, b"x").await.unwrap();
        }
        let mut buffer = [0; 9];
        for _ in 0..MOST_DATAGRAMS {
            inbox.receive(&mut buffer).await.unwrap();
        }
        one.broadcast(Channel::Transactions, b"last").await.unwrap();
        assert_eq!(inbox.receive(&mut buffer).await.unwrap().0, 4);
    }
}
