//! The loopback half of the transport, and the sockets that both halves are made of.
//!
//! On Linux a datagram to 127.255.255.255 reaches every process that has bound that
//! address with SO_REUSEADDR, whoever its user is, and the kernel drops such datagrams
//! when they come from another machine. SO_REUSEPORT is not set: it would hand the port
//! to one user only.

use futures::{FutureExt, future::LocalBoxFuture};
use mvb_actors::env::Datagrams;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};
use tokio::net::UdpSocket;

/// The broadcast address of the loopback network.
pub(super) const BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// The receive buffer asked for. With the system's usual one, two datagrams of three are
/// lost in a burst; the system may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that receives what is sent to a port which other processes have bound too.
pub(super) fn shared_socket(address: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "keeping the system's receive buffer");
    }
    socket.bind(&SocketAddrV4::new(address, port).into())?;
    UdpSocket::from_std(socket.into())
}

/// A socket for sending alone. Its port is its own, because an answer sent to a shared
/// port would reach only one of the processes that have bound it.
pub(super) fn private_socket(source: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(source, 0).into())?;
    UdpSocket::from_std(socket.into())
}

/// What arrives on a loopback port.
pub(super) struct LocalDatagrams(pub(super) UdpSocket);

impl Datagrams for LocalDatagrams {
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> LocalBoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        self.0.recv_from(buffer).boxed_local()
    }
}
