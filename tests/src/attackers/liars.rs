//! Peers that lie: they announce chains that nobody has, and when a node comes to fetch one
//! they are silent, or say Hello and stall, or send headers that lead nowhere.

use super::{attacker, floods::invented_tip, node, only_inside};
use mvb_actors::{
    env::RandomStream,
    frames::{read_frame, write_frame},
};
use mvb_protocol::{
    params::ChainParams,
    wire::{
        Announcement, Endpoint, Headers, Hello, MAX_REQUEST_BYTES, Response, Status, WIRE_VERSION,
    },
};
use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

/// Where liars serve their lies, at whichever address.
const PORT: u16 = 4_000;

/// How often each liar announces itself.
const BEAT: Duration = Duration::from_millis(200);

/// How long a liar keeps a visitor waiting.
const STALL: Duration = Duration::from_secs(20);

/// Many liars, played by one thread.
pub struct Liars {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    visits: Arc<AtomicU64>,
}

impl Liars {
    /// `count` liars, who announce themselves to the status port for `longest` at most.
    pub fn begin(status_port: u16, params: &ChainParams, count: usize, longest: Duration) -> Self {
        only_inside();
        let params = params.clone();
        let (stop, mut stopped) = watch::channel(false);
        let visits = Arc::<AtomicU64>::default();
        let counted = visits.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let end = timeout(longest, stopped.wait_for(|stop| *stop));
                tokio::select! {
                    biased;
                    _ = end => {}
                    ended = receive_visitors(&params, counted) => ended.expect("liars are at home"),
                    ended = announce(&params, status_port, count) => ended.expect("liars can speak"),
                }
            });
        });
        Self {
            stop,
            thread,
            visits,
        }
    }

    /// Ends them. How often a node came to see one.
    pub fn end(self) -> u64 {
        self.stop.send_replace(true);
        self.thread.join().expect("liars only lie");
        self.visits.load(Ordering::Relaxed)
    }
}

async fn announce(params: &ChainParams, status_port: u16, count: usize) -> io::Result<()> {
    let random = RandomStream::new(count as u64, 8);
    let mut liars = Vec::new();
    for number in 0..count {
        let socket = UdpSocket::bind((attacker(number), 0)).await?;
        socket.set_broadcast(true)?;
        liars.push((socket, node(&random)));
    }
    let mut beat = interval(BEAT);
    loop {
        beat.tick().await;
        for (socket, node) in &liars {
            let status = Status {
                announcement: Announcement {
                    params: params.clone(),
                    tip: invented_tip(&random),
                },
                endpoint: Endpoint {
                    node: *node,
                    port: PORT,
                },
            };
            let everybody = (Ipv4Addr::new(127, 255, 255, 255), status_port);
            socket.send_to(&status.to_datagram(), everybody).await?;
        }
    }
}

async fn receive_visitors(params: &ChainParams, visits: Arc<AtomicU64>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let mut sessions = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let visit = visits.fetch_add(1, Ordering::Relaxed);
        // Ends when the visitor is fed up, or with this set.
        sessions.spawn(lie(stream, visit, params.clone()));
        while sessions.try_join_next().is_some() {}
    }
}

async fn lie(mut stream: TcpStream, visit: u64, params: ChainParams) -> io::Result<()> {
    if !visit.is_multiple_of(3) {
        let random = RandomStream::new(visit, 9);
        let hello = Hello {
            least_version: WIRE_VERSION,
            greatest_version: WIRE_VERSION,
            features: 0,
            node: node(&random),
            announcement: Announcement {
                params,
                tip: invented_tip(&random),
            },
        };
        write_frame(&mut stream, &hello.to_bytes()).await?;
    }
    if visit % 3 == 2 {
        let nothing = Response::Headers(Headers {
            headers: Vec::new(),
        });
        for _ in 0..2 {
            let heard = read_frame(&mut stream, MAX_REQUEST_BYTES).await;
            heard.map_err(io::Error::other)?;
        }
        return write_frame(&mut stream, &nothing.to_frame()).await;
    }
    sleep(STALL).await;
    Ok(())
}
