//! The interfaces of this machine: sends a datagram to the broadcast address of each, and
//! tells what arrives from another machine from what this one said itself. The list is
//! read again every few seconds and after an error, so that a pulled cable or a new
//! address needs no restart.

use super::local;
use futures::{FutureExt, future::LocalBoxFuture};
use if_addrs::{IfAddr, Ifv4Addr};
use mvb_actors::env::Datagrams;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::{net::UdpSocket, time::Instant};

/// How long a list of the interfaces is believed.
const LIST_IS_GOOD_FOR: Duration = Duration::from_secs(5);

/// The interfaces in use, each with its sending socket.
pub(super) struct Interfaces {
    /// The only ones used; all of them where this is empty.
    named: Vec<String>,
    outlets: RefCell<BTreeMap<Network, Rc<Outlet>>>,
    listed: Cell<Option<Instant>>,
    /// Whether none is in use, which is told once.
    alone: Cell<bool>,
}

/// How a broadcast went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// The interfaces it was sent on.
    pub(super) reached: u64,
    /// The interfaces that failed.
    pub(super) failed: u64,
}

impl Interfaces {
    /// Those with these names, or all of them; listed when first used.
    pub(super) fn new(named: Vec<String>) -> Self {
        Self {
            named,
            outlets: RefCell::new(BTreeMap::new()),
            listed: Cell::new(None),
            alone: Cell::new(false),
        }
    }

    /// Sends a datagram to everybody on every interface.
    pub(super) async fn send(&self, port: u16, bytes: &[u8]) -> Sent {
        self.refresh();
        let outlets: Vec<_> = self.outlets.borrow().values().cloned().collect();
        let mut sent = Sent::default();
        for outlet in outlets {
            match outlet.send(port, bytes).await {
                Ok(()) => sent.reached += 1,
                Err(error) => {
                    outlet.failed(&error);
                    sent.failed += 1;
                }
            }
        }
        if sent.failed > 0 {
            self.listed.set(None);
        }
        sent
    }

    /// Whether a datagram from there is another machine's on an interface in use. What
    /// this machine's nodes say comes over loopback as well, and is heard there alone,
    /// so that one node is not two peers.
    fn hears(&self, source: IpAddr) -> bool {
        let IpAddr::V4(source) = source else {
            return false;
        };
        if source.is_loopback() {
            return true;
        }
        self.refresh();
        let outlets = self.outlets.borrow();
        let own = outlets.keys().any(|network| network.own == source);
        let expected =
            self.named.is_empty() || outlets.keys().any(|network| network.contains(source));
        !own && expected
    }

    /// Lists the interfaces anew where the list is old.
    fn refresh(&self) {
        let now = Instant::now();
        let good = |listed: Instant| now.duration_since(listed) < LIST_IS_GOOD_FOR;
        if self.listed.get().is_some_and(good) {
            return;
        }
        self.listed.set(Some(now));
        match networks(&self.named) {
            Ok(networks) => self.adopt(networks),
            Err(error) => tracing::warn!(%error, "the network interfaces cannot be listed"),
        }
    }

    /// Opens what is new and closes what is gone. A socket that failed is opened anew,
    /// since it may be bound to an interface that was replaced by one of the same name.
    fn adopt(&self, networks: Vec<Network>) {
        let mut outlets = self.outlets.borrow_mut();
        if !self.alone.replace(networks.is_empty()) && networks.is_empty() {
            let named = self.named.join(",");
            tracing::warn!(
                named,
                "no interface with a broadcast address: only this machine is reached"
            );
        }
        outlets.retain(|network, _| networks.contains(network));
        for network in networks {
            let known = outlets.get(&network);
            let was_failing = known.is_some_and(|outlet| outlet.failing.get());
            if known.is_none() || was_failing {
                let outlet = Outlet::new(network.clone(), was_failing);
                outlets.insert(network, Rc::new(outlet));
            }
        }
    }
}

/// The networks with a broadcast address that this machine is on now: those named, by their
/// interface's name or this machine's address, or all of them where none is named.
pub(super) fn networks(named: &[String]) -> io::Result<Vec<Network>> {
    let list = if_addrs::get_if_addrs()?;
    Ok(list
        .into_iter()
        .filter(|interface| !interface.is_p2p)
        .filter_map(|interface| match interface.addr {
            IfAddr::V4(address) => Network::of(interface.name, &address),
            IfAddr::V6(_) => None,
        })
        .filter(|network| network.is_among(named))
        .collect())
}

/// One IPv4 network that an interface is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) own: Ipv4Addr,
    mask: Ipv4Addr,
    pub(super) broadcast: Ipv4Addr,
}

impl Network {
    /// The network of an address, or nothing where it has no broadcast address.
    fn of(name: String, address: &Ifv4Addr) -> Option<Self> {
        if address.ip.is_loopback() || address.ip.is_unspecified() || address.prefixlen > 30 {
            return None;
        }
        let mask = address.netmask;
        // For an address configured without a broadcast address the system tells the
        // address itself; the last one of its network is then what everybody accepts.
        let last = Ipv4Addr::from_bits(address.ip.to_bits() | !mask.to_bits());
        let told = address
            .broadcast
            .filter(|told| !told.is_unspecified() && *told != address.ip);
        Some(Self {
            name,
            own: address.ip,
            mask,
            broadcast: told.unwrap_or(last),
        })
    }

    fn is_among(&self, named: &[String]) -> bool {
        let own = self.own.to_string();
        let is_named = |name: &String| *name == self.name || *name == own;
        named.is_empty() || named.iter().any(is_named)
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        (self.own.to_bits() ^ address.to_bits()) & self.mask.to_bits() == 0
    }
}

/// The sending socket of one network, opened when first used.
struct Outlet {
    network: Network,
    socket: RefCell<Option<Rc<UdpSocket>>>,
    failing: Cell<bool>,
}

impl Outlet {
    fn new(network: Network, failing: bool) -> Self {
        Self {
            network,
            socket: RefCell::new(None),
            failing: Cell::new(failing),
        }
    }

    async fn send(&self, port: u16, bytes: &[u8]) -> io::Result<()> {
        let socket = self.socket()?;
        socket
            .send_to(bytes, (self.network.broadcast, port))
            .await?;
        if self.failing.replace(false) {
            tracing::info!(interface = self.network.name, "sending works again");
        }
        Ok(())
    }

    fn socket(&self) -> io::Result<Rc<UdpSocket>> {
        let mut open = self.socket.borrow_mut();
        let socket = match &*open {
            Some(socket) => socket.clone(),
            None => Rc::new(local::private_socket(self.network.own)?),
        };
        *open = Some(socket.clone());
        Ok(socket)
    }

    /// Says once, not at every datagram, that this interface does not work.
    fn failed(&self, error: &io::Error) {
        if !self.failing.replace(true) {
            tracing::warn!(interface = self.network.name, %error, "cannot send, trying again");
        }
    }
}

/// What arrives on a port from every interface.
pub(super) struct LanDatagrams {
    socket: UdpSocket,
    interfaces: Rc<Interfaces>,
}

impl LanDatagrams {
    pub(super) fn new(socket: UdpSocket, interfaces: Rc<Interfaces>) -> Self {
        Self { socket, interfaces }
    }
}

impl Datagrams for LanDatagrams {
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> LocalBoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        async move {
            loop {
                let (length, source) = self.socket.recv_from(buffer).await?;
                if self.interfaces.hears(source.ip()) {
                    return Ok((length, source));
                }
            }
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: [u8; 4], prefix: u8, broadcast: Option<[u8; 4]>) -> Ifv4Addr {
        Ifv4Addr {
            ip: ip.into(),
            netmask: Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)),
            prefixlen: prefix,
            broadcast: broadcast.map(Into::into),
        }
    }

    fn network(name: &str, ip: [u8; 4], prefix: u8) -> Network {
        Network::of(name.into(), &address(ip, prefix, None)).unwrap()
    }

    /// Interfaces whose list never grows old in a test.
    fn interfaces(named: &[&str], networks: Vec<Network>) -> Interfaces {
        let interfaces = Interfaces::new(named.iter().map(|&name| name.into()).collect());
        interfaces.adopt(networks);
        interfaces.listed.set(Some(Instant::now()));
        interfaces
    }

    #[test]
    fn the_broadcast_address_is_the_interfaces_or_the_last_of_its_network() {
        let told = Network::of("a".into(), &address([10, 0, 0, 5], 8, Some([10, 9, 9, 9])));
        assert_eq!(told.unwrap().broadcast, Ipv4Addr::new(10, 9, 9, 9));
        for useless in [None, Some([0, 0, 0, 0]), Some([10, 77, 3, 5])] {
            let computed = Network::of("a".into(), &address([10, 77, 3, 5], 22, useless));
            assert_eq!(
                computed.unwrap().broadcast,
                Ipv4Addr::new(10, 77, 3, 255),
                "told {useless:?}"
            );
        }
    }

    #[test]
    fn an_interface_is_named_by_its_name_or_its_address() {
        let network = network("a", [10, 0, 0, 5], 24);
        for (named, used) in [
            (vec![], true),
            (vec!["b", "a"], true),
            (vec!["10.0.0.5"], true),
            (vec!["b", "10.0.0.6"], false),
        ] {
            let named: Vec<String> = named.into_iter().map(str::to_owned).collect();
            assert_eq!(network.is_among(&named), used, "{named:?}");
        }
    }

    #[test]
    fn loopback_and_point_to_point_addresses_are_not_broadcast_on() {
        for (ip, prefix) in [
            ([127, 0, 0, 1], 8),
            ([10, 0, 0, 1], 31),
            ([10, 0, 0, 1], 32),
        ] {
            assert_eq!(Network::of("a".into(), &address(ip, prefix, None)), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn this_machines_own_words_are_heard_over_loopback_alone() {
        let all = interfaces(&[], vec![network("a", [10, 0, 0, 5], 24)]);
        assert!(all.hears([127, 0, 0, 1].into()));
        assert!(all.hears([10, 0, 0, 6].into()));
        assert!(!all.hears([10, 0, 0, 5].into()));
    }

    #[tokio::test(start_paused = true)]
    async fn with_interfaces_named_nobody_else_is_heard() {
        let networks = vec![network("a", [10, 0, 0, 5], 24)];
        let named = interfaces(&["a"], networks.clone());
        assert!(named.hears([10, 0, 0, 6].into()));
        assert!(!named.hears([10, 0, 1, 6].into()));
        assert!(interfaces(&[], networks).hears([10, 0, 1, 6].into()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interface_that_goes_is_forgotten_and_one_that_fails_is_opened_anew() {
        let (a, b) = (
            network("a", [10, 0, 0, 5], 24),
            network("b", [10, 1, 0, 5], 24),
        );
        let both = interfaces(&[], vec![a.clone(), b.clone()]);
        let first = both.outlets.borrow()[&a].clone();
        first.failed(&io::ErrorKind::NetworkUnreachable.into());
        both.adopt(vec![a.clone()]);
        assert!(!both.outlets.borrow().contains_key(&b));
        let second = both.outlets.borrow()[&a].clone();
        assert!(!Rc::ptr_eq(&first, &second) && second.failing.get());
        second.failing.set(false);
        both.adopt(vec![a.clone()]);
        assert!(Rc::ptr_eq(&second, &both.outlets.borrow()[&a]));
    }
}
