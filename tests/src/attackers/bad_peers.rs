//! Peers that know the real chain, greet with its tip and serve its headers, but whose bodies
//! nobody can rely on. A node that synchronises from a good peer has to get along beside them.

use super::{
    clients::{Crowd, hello, wait_for_the_end},
    only_inside,
};
use mvb_actors::{
    env::RandomStream,
    frames::{put_frame, read_frame, write_frame, write_frames},
};
use mvb_protocol::{
    chain::{ChainSnapshot, ChainStore, StoreError},
    hash::BlockId,
    locator::fork_point,
    numbers::Height,
    wire::{GetHeaders, Headers, MAX_REQUEST_BYTES, MAX_STATUS_BYTES, Request, Response},
};
use mvb_storage::LmdbStore;
use std::{
    collections::BTreeSet,
    io,
    net::{self, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

/// What a peer that trickles sends at a time, and how long it waits then: 200 bytes a second.
const TRICKLE: (usize, Duration) = (20, Duration::from_millis(100));

/// How long a liar keeps what it lies about: a node turns to others after a second, and should
/// believe until then that it is served.
const HELD: Duration = Duration::from_millis(900);

/// What a peer does when it is asked for bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It never answers.
    Stalls,
    /// It sends them some bytes at a time.
    Trickles,
    /// It serves them well, until it is asked for what another bad peer keeps. Those it sends
    /// late, and under the last header another body than its own: found out at once a lie costs
    /// nothing, and told while others still keep bodies back it costs no more than they do.
    Lies,
}

/// How often a peer was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Connections made to it.
    pub sessions: usize,
    /// Bodies asked of it.
    pub bodies: usize,
}

/// Bad peers, all played by one thread.
pub struct BadPeers {
    crowd: Crowd,
    asked: Vec<Arc<Counts>>,
}

/// The bodies that were asked of those who keep them.
type Kept = Arc<Mutex<BTreeSet<BlockId>>>;

#[derive(Default)]
struct Counts {
    sessions: AtomicUsize,
    bodies: AtomicUsize,
}

/// One of them.
struct Peer {
    chain: Arc<LmdbStore>,
    hello: Vec<u8>,
    wrong: Wrong,
    kept: Kept,
    counts: Arc<Counts>,
}

impl BadPeers {
    /// Peers at these addresses that pretend to serve a chain, for `longest` at most. They
    /// listen when this returns.
    pub fn begin(chain: &Arc<LmdbStore>, peers: &[(SocketAddr, Wrong)], longest: Duration) -> Self {
        only_inside();
        let random = RandomStream::new(1, 10);
        let tip = chain.snapshot().and_then(|chain| chain.tip());
        let tip = tip.expect("a readable chain");
        let kept = Kept::default();
        let mut asked = Vec::new();
        let mut all = Vec::new();
        for (address, wrong) in peers {
            let listener = net::TcpListener::bind(address).expect("a free port");
            listener.set_nonblocking(true).expect("a socket option");
            let counts = Arc::<Counts>::default();
            asked.push(counts.clone());
            let peer = Peer {
                chain: chain.clone(),
                hello: hello(chain.params(), tip, &random),
                wrong: *wrong,
                kept: kept.clone(),
                counts,
            };
            all.push((listener, Arc::new(peer)));
        }
        let crowd = Crowd::begin(all.len(), longest, move |number, _| {
            let (listener, peer) = &all[number];
            let listener = listener.try_clone().expect("room for a descriptor");
            receive_visitors(listener, peer.clone())
        });
        Self { crowd, asked }
    }

    /// Ends them. How often each was asked, in their order.
    pub fn end(self) -> Vec<Asked> {
        self.crowd.end();
        let counted = |counts: Arc<Counts>| Asked {
            sessions: counts.sessions.load(Ordering::Relaxed),
            bodies: counts.bodies.load(Ordering::Relaxed),
        };
        self.asked.into_iter().map(counted).collect()
    }
}

async fn receive_visitors(listener: net::TcpListener, peer: Arc<Peer>) {
    let listener = TcpListener::from_std(listener).expect("inside a runtime");
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        peer.counts.sessions.fetch_add(1, Ordering::Relaxed);
        let peer = peer.clone();
        // Ends when the visitor is fed up, or with this set.
        sessions.spawn(async move { peer.serve(stream).await });
        while sessions.try_join_next().is_some() {}
    }
}

impl Peer {
    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        write_frame(&mut stream, &self.hello).await?;
        let greeting = read_frame(&mut stream, MAX_STATUS_BYTES).await;
        greeting.map_err(io::Error::other)?;
        loop {
            let frame = read_frame(&mut stream, MAX_REQUEST_BYTES).await;
            let frame = frame.map_err(io::Error::other)?;
            match Request::from_frame(&frame).map_err(io::Error::other)? {
                Request::GetHeaders(asked) => {
                    let headers = self.headers_after(&asked).map_err(io::Error::other)?;
                    let answer = Response::Headers(headers).to_frame();
                    write_frame(&mut stream, &answer).await?;
                }
                Request::GetBlocks(asked) => {
                    let count = asked.ids.len();
                    self.counts.bodies.fetch_add(count, Ordering::Relaxed);
                    self.send_bodies(&mut stream, &asked.ids).await?;
                }
                Request::OfferTransaction(_) => return Ok(()),
            }
        }
    }

    fn headers_after(&self, asked: &GetHeaders) -> Result<Headers, StoreError> {
        let chain = self.chain.snapshot()?;
        let from = fork_point(&*chain, &asked.locator)?.0;
        let mut headers = Vec::new();
        for height in from + 1..=from + u64::from(asked.limit) {
            let Some(id) = chain.active_id(Height(height))? else {
                break;
            };
            headers.extend(chain.header(&id)?.map(|stored| stored.header));
        }
        Ok(Headers { headers })
    }

    async fn send_bodies(&self, stream: &mut TcpStream, ids: &[BlockId]) -> io::Result<()> {
        match self.wrong {
            Wrong::Stalls => {
                self.keep(ids);
                wait_for_the_end(stream).await
            }
            Wrong::Trickles => {
                self.keep(ids);
                let frames = self.frames(ids, false).map_err(io::Error::other)?;
                trickle(stream, &frames).await
            }
            Wrong::Lies => {
                let lies = self.is_kept(ids);
                if lies {
                    sleep(HELD).await;
                }
                let frames = self.frames(ids, lies).map_err(io::Error::other)?;
                write_frames(stream, &frames).await
            }
        }
    }

    fn keep(&self, ids: &[BlockId]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(ids);
    }

    /// Whether any of these was asked of one who keeps it.
    fn is_kept(&self, ids: &[BlockId]) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().any(|id| kept.contains(id))
    }

    /// The answers for some ids, the last of which may be a lie.
    fn frames(&self, ids: &[BlockId], lies: bool) -> Result<Vec<u8>, StoreError> {
        let chain = self.chain.snapshot()?;
        let mut frames = Vec::new();
        for (number, id) in (1..).zip(ids) {
            let is_lie = lies && number == ids.len();
            put_frame(&mut frames, &answer(&*chain, id, is_lie)?.to_frame());
        }
        Ok(frames)
    }
}

async fn trickle(stream: &mut TcpStream, frames: &[u8]) -> io::Result<()> {
    let (piece, pause) = TRICKLE;
    for bytes in frames.chunks(piece) {
        stream.write_all(bytes).await?;
        sleep(pause).await;
    }
    Ok(())
}

fn answer(chain: &dyn ChainSnapshot, id: &BlockId, is_lie: bool) -> Result<Response, StoreError> {
    let Some(mut block) = chain.block(id)? else {
        return Ok(Response::NotFound(*id));
    };
    if is_lie {
        block.reward.extra_nonce += 1;
    }
    Ok(Response::Block(Box::new(block)))
}
