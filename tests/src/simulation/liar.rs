//! Lying peers: hosts that speak the wire protocol and keep none of its promises. A liar sees
//! every honest machine's disk, knows everybody's keys, finds nonces at once and appears as
//! several peers, each with a port and a lie of its own. What it must not achieve is for the
//! harness to check.

mod lies;

pub use lies::Underworld;

use crate::cluster::Program;
use futures::future::pending;
use lies::Lie;
use mvb_actors::{
    env::{Channel, Env},
    frames::{read_frame, write_frame},
};
use mvb_protocol::{
    hash::BlockId,
    mutants,
    wire::{
        Announcement, Endpoint, Headers, Hello, MAX_REQUEST_BYTES, MAX_STATUS_BYTES, NodeId,
        Request, Response, Status, WIRE_VERSION,
    },
};
use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, time::sleep};
use turmoil::net::{TcpListener, TcpStream};

/// As how many peers one liar appears.
const IDENTITIES: u16 = 8;

/// What a liar does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trick {
    /// Claims a tip that nobody has, with an enormous height.
    Boast,
    /// Claims the best tip and says nothing once connected.
    NoHello,
    /// Greets, and never answers.
    Mute,
    /// Sends its answers a byte at a time.
    Trickle,
    /// Proves a better chain by its headers and keeps the bodies.
    Withhold,
    /// Serves the honest tip with a body that is not its own.
    ForeignBody,
    /// Answers with headers that follow nothing.
    Unlinked,
    /// Answers with blocks that nobody asked for.
    Unrequested,
    /// Serves a block that breaks one rule.
    Flaw,
    /// Publishes a longer branch that it kept to itself.
    Reorg,
    /// Publishes a higher branch of less work.
    LowWork,
    /// Sends statuses in honest machines' names.
    Spoof,
    /// Sends payments that are worth nothing.
    Flood,
    /// Waits for the siege, then proves a better chain and sends its body a byte at a time.
    Besiege,
    /// Waits for the peace, then claims the best tip and sends its headers a byte at a time.
    Mimic,
}

impl Trick {
    /// All that a liar plays whenever it likes.
    pub const ALL: [Trick; 13] = [
        Self::Boast,
        Self::NoHello,
        Self::Mute,
        Self::Trickle,
        Self::Withhold,
        Self::ForeignBody,
        Self::Unlinked,
        Self::Unrequested,
        Self::Flaw,
        Self::Reorg,
        Self::LowWork,
        Self::Spoof,
        Self::Flood,
    ];

    /// Those that only hold others up.
    pub const STALLING: [Trick; 5] = [
        Self::Boast,
        Self::NoHello,
        Self::Mute,
        Self::Trickle,
        Self::Withhold,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Boast => "claims of tips nobody has",
            Self::NoHello => "peers without a hello",
            Self::Mute => "peers that never answer",
            Self::Trickle => "peers that trickle",
            Self::Withhold => "withheld bodies",
            Self::ForeignBody => "foreign bodies",
            Self::Unlinked => "unlinked headers",
            Self::Unrequested => "unrequested blocks",
            Self::Flaw => "forged blocks",
            Self::Reorg => "private branches",
            Self::LowWork => "high branches of little work",
            Self::Spoof => "forged sources",
            Self::Flood => "worthless payments",
            Self::Besiege => "besieging peers",
            Self::Mimic => "peers that claim an honest tip first",
        }
    }

    /// Whether it changes what the network is to agree on, or who pays whom.
    fn moves_the_chain(self) -> bool {
        matches!(self, Self::Reorg | Self::LowWork | Self::Flood)
    }
}

/// The program of a liar's host.
pub fn program(underworld: Rc<Underworld>) -> Program {
    Rc::new(move |_, env| {
        let underworld = underworld.clone();
        Box::pin(async move {
            for number in 0..IDENTITIES {
                let (env, underworld) = (env.clone(), underworld.clone());
                tokio::task::spawn_local(async move {
                    let port = 3_000 + number;
                    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                    if let Ok(listener) = TcpListener::bind((any, port)).await {
                        identity(env, underworld, listener, port).await;
                    }
                });
            }
            pending().await
        })
    })
}

/// Tells one lie after the other, and serves the last.
async fn identity(env: Env, underworld: Rc<Underworld>, listener: TcpListener, port: u16) {
    let told: Rc<RefCell<Option<Rc<Lie>>>> = Rc::default();
    let mut node = [0; 16];
    node[..8].copy_from_slice(&env.random.next_u64().to_be_bytes());
    let node = NodeId(node);
    let (server, lies, world) = (env.clone(), told.clone(), underworld.clone());
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let lie = lies.borrow().clone();
            if let Some(lie) = lie {
                let (env, underworld) = (server.clone(), world.clone());
                tokio::task::spawn_local(async move {
                    // A peer that hangs up has heard enough.
                    let _ = serve(&env, &underworld, stream, node, &lie).await;
                });
            }
        }
    });
    loop {
        sleep(Duration::from_millis(200 + env.random.below(3_000))).await;
        let trick = underworld.tricks[env.random.below(underworld.tricks.len() as u64) as usize];
        if underworld.peace.get() && trick.moves_the_chain() {
            continue;
        }
        match trick {
            Trick::ForeignBody => underworld.next_tip(&env).await,
            Trick::Besiege => underworld.until(&underworld.siege).await,
            Trick::Mimic => underworld.until(&underworld.peace).await,
            _ => {}
        }
        let lie = mutants::without(|| underworld.lie(&env, trick));
        let Ok(Some(lie)) = lie else { continue };
        let status = Status {
            announcement: Announcement {
                params: (*env.params).clone(),
                tip: lie.claim,
            },
            endpoint: Endpoint { node, port },
        };
        underworld.count(trick);
        match trick {
            Trick::Spoof => underworld.spoof(&env, status).await,
            Trick::Flood => underworld.flood(&env).await,
            _ => {
                *told.borrow_mut() = Some(Rc::new(lie));
                for _ in 0..1 + env.random.below(6) {
                    let _ = env
                        .net
                        .broadcast(Channel::Status, &status.to_datagram())
                        .await;
                    sleep(Duration::from_millis(100 + env.random.below(500))).await;
                }
            }
        }
    }
}

/// Serves a lie to whoever has connected.
async fn serve(
    env: &Env,
    underworld: &Underworld,
    mut stream: TcpStream,
    node: NodeId,
    lie: &Lie,
) -> Result<(), Gone> {
    if lie.trick == Trick::NoHello {
        return pending().await;
    }
    let hello = Hello {
        least_version: WIRE_VERSION,
        greatest_version: WIRE_VERSION,
        features: 0,
        node,
        announcement: Announcement {
            params: (*env.params).clone(),
            tip: lie.claim,
        },
    };
    write_frame(&mut stream, &hello.to_bytes()).await?;
    read_frame(&mut stream, MAX_STATUS_BYTES).await?;
    loop {
        let frame = read_frame(&mut stream, MAX_REQUEST_BYTES).await?;
        if lie.moves_the_chain && underworld.peace.get() {
            return Ok(());
        }
        let request = Request::from_frame(&frame)?;
        match (lie.trick, request) {
            (Trick::Mute, _) => return pending().await,
            (Trick::Withhold, Request::GetBlocks(_)) => return pending().await,
            (trick, Request::GetHeaders(asked)) => {
                let mut headers = lie.headers_after(&asked.locator);
                if trick == Trick::Unlinked {
                    for header in &mut headers {
                        header.previous = BlockId([5; 32]);
                    }
                }
                let frame = Response::Headers(Headers { headers }).to_frame();
                send(&mut stream, &frame, trick == Trick::Mimic).await?;
            }
            (trick, Request::GetBlocks(asked)) => {
                for id in asked.ids {
                    let frame = match lie.blocks.get(&id) {
                        Some(block) => lie.twisted(block),
                        None => Response::NotFound(id),
                    }
                    .to_frame();
                    if trick == Trick::Unrequested {
                        send(&mut stream, &frame, false).await?;
                    }
                    let trickles = matches!(trick, Trick::Trickle | Trick::Besiege);
                    send(&mut stream, &frame, trickles).await?;
                }
            }
            (_, Request::OfferTransaction(_)) => return Ok(()),
        }
    }
}

/// The other side has gone, or says what makes no sense.
struct Gone;

impl<E: std::error::Error> From<E> for Gone {
    fn from(_: E) -> Self {
        Self
    }
}

async fn send(stream: &mut TcpStream, frame: &[u8], trickles: bool) -> Result<(), Gone> {
    if !trickles {
        return Ok(write_frame(stream, frame).await?);
    }
    let length = (frame.len() as u32).to_be_bytes();
    for byte in length.iter().chain(frame) {
        stream.write_all(&[*byte]).await?;
        sleep(Duration::from_millis(400)).await;
    }
    Ok(())
}
