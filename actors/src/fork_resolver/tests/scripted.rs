//! A block server whose behaviour a test writes.

use crate::{
    frames::{read_frame, write_frame},
    testing::{FakeNet, NODE, TestChain},
};
use mvb_protocol::{
    block::{Block, Header},
    chain::Tip,
    hash::BlockId,
    params::ChainParams,
    wire::{
        Announcement, Endpoint, GetBlocks, Headers, Hello, MAX_HEADERS, MAX_REQUEST_BYTES, NodeId,
        Request, Response, Status, WIRE_VERSION,
    },
};
use std::{
    cell::{Cell, RefCell},
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::watch,
};

/// What a peer does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing.
    Honest,
    /// Accepts connections and never says a word.
    Mute,
    /// Says Hello, and nothing after.
    SilentAfterHello,
    /// Answers for headers, not for blocks.
    WithholdsBodies,
    /// Sends blocks a byte a second.
    Trickles,
    /// Sends blocks with other rewards under their headers.
    WrongBodies,
    /// Sends its first block whatever is asked for.
    Unrequested,
    /// Has no block of its own chain.
    HasNoBlocks,
    /// Leaves out the first header.
    Unlinked,
    /// Closes the connection after the first block.
    HangsUp,
}

/// A peer and what it has seen.
pub struct ScriptedPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who it says it is.
    pub node: NodeId,
    /// Its chain.
    pub chain: RefCell<TestChain>,
    /// What it does.
    pub behaviour: Cell<Behaviour>,
    /// The tip its Hello claims, if not its own.
    pub claims: Cell<Option<Tip>>,
    /// What it was asked, Hellos left out.
    pub requests: RefCell<Vec<Request>>,
    /// Bytes it received while it was mute.
    pub unasked_bytes: Cell<usize>,
    /// Whether it says Hello in the name of the node under test.
    pub is_the_node_itself: Cell<bool>,
    /// How long each of its blocks is on its way.
    pub block_time: Cell<Duration>,
    /// Called at each request for blocks.
    pub on_blocks: RefCell<Option<Box<dyn Fn()>>>,
    news: watch::Sender<()>,
}

impl ScriptedPeer {
    /// A peer at 127.0.0.1 that serves a chain.
    pub fn new(net: &FakeNet, port: u16, chain: &TestChain) -> Rc<Self> {
        let peer = Rc::new(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            node: NodeId([(port % 251) as u8; 16]),
            chain: RefCell::new(chain.clone()),
            behaviour: Cell::new(Behaviour::Honest),
            claims: Cell::new(None),
            requests: RefCell::default(),
            unasked_bytes: Cell::new(0),
            is_the_node_itself: Cell::new(false),
            block_time: Cell::default(),
            on_blocks: RefCell::default(),
            news: watch::Sender::default(),
        });
        let server = peer.clone();
        net.serve(peer.address, move |stream| {
            let server = server.clone();
            tokio::task::spawn_local(async move {
                // The node may hang up at any moment.
                let _ = server.talk(stream).await;
            });
        });
        peer
    }

    /// The same, with one thing wrong.
    pub fn wrong(net: &FakeNet, port: u16, chain: &TestChain, behaviour: Behaviour) -> Rc<Self> {
        let peer = Self::new(net, port, chain);
        peer.behaviour.set(behaviour);
        peer
    }

    /// The status it would broadcast.
    pub fn status(&self) -> Status {
        let tip = self.chain.borrow().tip();
        self.status_of(self.claims.get().unwrap_or(tip))
    }

    /// A status with any claim.
    pub fn status_of(&self, tip: Tip) -> Status {
        let params = self.chain.borrow().params.clone();
        status(params, tip, self.node, self.address.port())
    }

    /// Takes a chain for its own and announces it on the connections that wait for a request.
    pub fn announce(&self, chain: &TestChain) {
        *self.chain.borrow_mut() = chain.clone();
        self.news.send_replace(());
    }

    /// How often it was asked for blocks.
    pub fn block_requests(&self) -> usize {
        let requests = self.requests.borrow();
        let blocks = requests
            .iter()
            .filter(|request| matches!(request, Request::GetBlocks(_)));
        blocks.count()
    }

    /// How many blocks it was asked for.
    pub fn asked_blocks(&self) -> usize {
        let requests = self.requests.borrow();
        let counts = requests.iter().map(|request| match request {
            Request::GetBlocks(request) => request.ids.len(),
            _ => 0,
        });
        counts.sum()
    }

    async fn talk(&self, mut stream: DuplexStream) -> Option<()> {
        if self.behaviour.get() == Behaviour::Mute {
            let mut byte = [0];
            while stream.read(&mut byte).await.ok()? > 0 {
                self.unasked_bytes.set(self.unasked_bytes.get() + 1);
            }
            return None;
        }
        let (params, tip) = {
            let chain = self.chain.borrow();
            (chain.params.clone(), chain.tip())
        };
        let hello = Hello {
            least_version: WIRE_VERSION,
            greatest_version: WIRE_VERSION,
            features: 0,
            node: match self.is_the_node_itself.get() {
                true => NODE,
                false => self.node,
            },
            announcement: Announcement {
                params,
                tip: self.claims.get().unwrap_or(tip),
            },
        };
        write_frame(&mut stream, &hello.to_bytes()).await.ok()?;
        let theirs = read_frame(&mut stream, 512).await.ok()?;
        Hello::from_bytes(&theirs).expect("the node greets");
        let mut news = self.news.subscribe();
        loop {
            let mut first = [0];
            let read = tokio::select! {
                biased;
                Ok(()) = news.changed() => {
                    reply(&mut stream, self.announcement()).await?;
                    continue;
                }
                read = stream.read(&mut first) => read.ok()?,
            };
            let mut rest = first[..read].chain(&mut stream);
            let frame = read_frame(&mut rest, MAX_REQUEST_BYTES).await.ok()?;
            let request = Request::from_frame(&frame).expect("the node asks properly");
            self.requests.borrow_mut().push(request.clone());
            if self.behaviour.get() == Behaviour::SilentAfterHello {
                std::future::pending::<()>().await;
            }
            match request {
                Request::GetHeaders(request) => {
                    let headers = self.headers_after(&request.locator);
                    reply(&mut stream, Response::Headers(Headers { headers })).await?;
                }
                Request::GetBlocks(request) => self.send_blocks(&mut stream, request).await?,
                Request::OfferTransaction(_) => return None,
            }
        }
    }

    fn announcement(&self) -> Response {
        let chain = self.chain.borrow();
        Response::Announcement(Box::new(Announcement {
            params: chain.params.clone(),
            tip: self.claims.get().unwrap_or(chain.tip()),
        }))
    }

    fn headers_after(&self, locator: &[BlockId]) -> Vec<Header> {
        let chain = self.chain.borrow();
        let ids: Vec<BlockId> = chain.blocks.iter().map(|block| block.id()).collect();
        let known = |id| ids.iter().position(|own| own == id).map(|at| at + 1);
        let mut from = locator.iter().find_map(known).unwrap_or(0);
        if self.behaviour.get() == Behaviour::Unlinked {
            from += 1;
        }
        let rest = chain.blocks.iter().skip(from).take(MAX_HEADERS);
        rest.map(|block| block.header).collect()
    }

    async fn send_blocks(&self, stream: &mut DuplexStream, request: GetBlocks) -> Option<()> {
        if let Some(hook) = &*self.on_blocks.borrow() {
            hook();
        }
        for id in request.ids {
            if !self.block_time.get().is_zero() {
                tokio::time::sleep(self.block_time.get()).await;
            }
            let block = self.block(id);
            match self.behaviour.get() {
                Behaviour::WithholdsBodies => std::future::pending::<()>().await,
                Behaviour::HasNoBlocks => reply(stream, Response::NotFound(id)).await?,
                Behaviour::Trickles => {
                    let frame = Response::Block(Box::new(block)).to_frame();
                    let length = (frame.len() as u32).to_be_bytes();
                    for byte in length.iter().chain(&frame) {
                        stream.write_all(&[*byte]).await.ok()?;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Behaviour::HangsUp => {
                    reply(stream, Response::Block(Box::new(block))).await?;
                    return None;
                }
                _ => reply(stream, Response::Block(Box::new(block))).await?,
            }
        }
        Some(())
    }

    fn block(&self, id: BlockId) -> Block {
        let chain = self.chain.borrow();
        let found = chain.blocks.iter().find(|block| block.id() == id);
        let mut block = (**found.expect("the node asks for what was offered")).clone();
        match self.behaviour.get() {
            Behaviour::WrongBodies => block.reward.extra_nonce += 1,
            Behaviour::Unrequested => block = (*chain.blocks[0]).clone(),
            _ => {}
        }
        block
    }
}

/// A status of any content.
pub fn status(params: ChainParams, tip: Tip, node: NodeId, port: u16) -> Status {
    Status {
        announcement: Announcement { params, tip },
        endpoint: Endpoint { node, port },
    }
}

/// Where a peer's datagrams come from: its address, and a port that is nobody's server.
pub fn datagram_source(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 50_000)
}

async fn reply(stream: &mut DuplexStream, response: Response) -> Option<()> {
    write_frame(stream, &response.to_frame()).await.ok()
}
