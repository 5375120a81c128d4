//! Clients of a block server that do it no good: slow ones, and too many.

use super::{attacker, node, only_inside};
use mvb_actors::{
    env::RandomStream,
    frames::{read_frame, write_frame},
};
use mvb_protocol::{
    chain::Tip,
    hash::BlockId,
    params::ChainParams,
    wire::{
        Announcement, GetBlocks, Hello, MAX_BLOCKS_REQUEST, MAX_STATUS_BYTES, Request, WIRE_VERSION,
    },
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

/// How long a client waits before it comes again.
const BETWEEN_VISITS: Duration = Duration::from_millis(200);

/// Between two bytes of a client that trickles.
const TRICKLE: Duration = Duration::from_millis(500);

/// A thread with a runtime, whose tasks end with it.
pub(super) struct Crowd {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    connections: Arc<AtomicU64>,
}

impl Crowd {
    /// Runs one future for each client, for `longest` at most.
    pub(super) fn begin<F: Future<Output = ()>>(
        clients: usize,
        longest: Duration,
        client: impl Fn(usize, Arc<AtomicU64>) -> F + Send + 'static,
    ) -> Self {
        only_inside();
        let (stop, mut stopped) = watch::channel(false);
        let connections = Arc::<AtomicU64>::default();
        let counted = connections.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let all = (0..clients).map(|number| client(number, counted.clone()));
                let crowd = futures::future::join_all(all);
                let end = timeout(longest, stopped.wait_for(|stop| *stop));
                tokio::select! {
                    biased;
                    _ = end => {}
                    _ = crowd => {}
                }
            });
        });
        Self {
            stop,
            thread,
            connections,
        }
    }

    pub(super) fn end(self) -> u64 {
        self.stop.send_replace(true);
        self.thread.join().expect("the crowd only talks");
        self.connections.load(Ordering::Relaxed)
    }
}

async fn connect(from: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(server).await
}

/// Clients that hold a session each as long as they can and come again when it ends: a
/// quarter says nothing, a quarter says Hello byte by byte, a quarter asks for blocks
/// and does not read them, a quarter says Hello and no more.
pub struct SlowClients(Crowd);

impl SlowClients {
    /// `clients` of them, from as many addresses, for `longest` at most.
    pub fn begin(
        server: SocketAddr,
        params: &ChainParams,
        blocks: Vec<BlockId>,
        clients: usize,
        longest: Duration,
    ) -> Self {
        let params = params.clone();
        let blocks: Arc<[BlockId]> = blocks.into();
        Self(Crowd::begin(
            clients,
            longest,
            move |number, connections| {
                let (params, blocks) = (params.clone(), blocks.clone());
                async move {
                    let random = RandomStream::new(number as u64, 7);
                    loop {
                        if let Ok(stream) = connect(attacker(number), server).await {
                            connections.fetch_add(1, Ordering::Relaxed);
                            let tip = Tip::genesis(params.genesis_id());
                            let hello = hello(&params, tip, &random);
                            // However the session ends, the client comes again.
                            let _ = stall(stream, number, &hello, &blocks).await;
                        }
                        sleep(BETWEEN_VISITS).await;
                    }
                }
            },
        ))
    }

    /// Ends them. How many sessions they began.
    pub fn end(self) -> u64 {
        self.0.end()
    }
}

/// The greeting of a peer that claims a tip.
pub(super) fn hello(params: &ChainParams, tip: Tip, random: &RandomStream) -> Vec<u8> {
    Hello {
        least_version: WIRE_VERSION,
        greatest_version: WIRE_VERSION,
        features: 0,
        node: node(random),
        announcement: Announcement {
            params: params.clone(),
            tip,
        },
    }
    .to_bytes()
}

async fn stall(
    mut stream: TcpStream,
    number: usize,
    hello: &[u8],
    blocks: &[BlockId],
) -> io::Result<()> {
    match number % 4 {
        0 => wait_for_the_end(&mut stream).await,
        1 => {
            for byte in (hello.len() as u32).to_be_bytes().iter().chain(hello) {
                stream.write_all(&[*byte]).await?;
                sleep(TRICKLE).await;
            }
            wait_for_the_end(&mut stream).await
        }
        2 => {
            greet(&mut stream, hello).await?;
            let ids = blocks.iter().copied().cycle().take(MAX_BLOCKS_REQUEST);
            let request = Request::GetBlocks(GetBlocks { ids: ids.collect() }).to_frame();
            // Nothing is read, so that this blocks once the server's replies do.
            loop {
                write_frame(&mut stream, &request).await?;
            }
        }
        _ => {
            greet(&mut stream, hello).await?;
            wait_for_the_end(&mut stream).await
        }
    }
}

async fn greet(stream: &mut TcpStream, hello: &[u8]) -> io::Result<()> {
    read_frame(stream, MAX_STATUS_BYTES)
        .await
        .map_err(io::Error::other)?;
    write_frame(stream, hello).await
}

pub(super) async fn wait_for_the_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 1_024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// Clients that connect and leave, as fast as they can.
pub struct ConnectionFlood(Crowd);

impl ConnectionFlood {
    /// From 64 addresses at once, for `longest` at most.
    pub fn begin(server: SocketAddr, longest: Duration) -> Self {
        Self(Crowd::begin(
            64,
            longest,
            move |number, connections| async move {
                loop {
                    match connect(attacker(number), server).await {
                        Ok(stream) => {
                            connections.fetch_add(1, Ordering::Relaxed);
                            // Reset rather than closed, or the client's ports would run out.
                            let _ = stream.set_zero_linger();
                        }
                        Err(_) => sleep(BETWEEN_VISITS).await,
                    }
                    tokio::task::yield_now().await;
                }
            },
        ))
    }

    /// Ends it. How many connections it made.
    pub fn end(self) -> u64 {
        self.0.end()
    }
}
