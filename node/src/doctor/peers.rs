//! Who is heard, and by which parameters: listens to statuses as a node does, asks some of
//! those heard, and those configured, for their newest block, and compares its time with
//! this machine's clock.

use super::{Check, Finding, span};
use crate::{config::Config, running, transport::NetTransport};
use mvb_actors::{
    env::{Channel, Transport},
    frames::{FrameError, read_frame, write_frame},
};
use mvb_protocol::{
    chain::Tip,
    hash::BlockId,
    numbers::{Height, Timestamp},
    params::ChainParams,
    wire::{
        Announcement, Datagram, GetBlocks, Hello, MAX_STATUS_BYTES, MessageType, NodeId, Request,
        Response, Status, WIRE_VERSION, WireError, max_response_bytes,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// The most peers that are remembered. Whoever has more to say is heard by the node.
const MOST_HEARD: usize = 64;

/// The most peers that are asked for their newest block.
const MOST_ASKED: usize = 8;

/// How long a peer may take to be reached, and to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A block this far ahead of the clock shows that clocks differ: messages take less.
const AHEAD: u64 = 10_000;

/// A block that was found while this listened is stamped later than this ago: the miner
/// renews its header every few seconds.
const BEHIND: u64 = 120_000;

/// A block's time, and whose word it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) by: String,
    pub(super) height: Height,
    pub(super) timestamp: Timestamp,
    /// Whether it was found while this listened, so that its time is about now.
    pub(super) is_new: bool,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Miners of this network, by their block server.
    pub(super) ours: BTreeMap<SocketAddr, Member>,
    /// Why others are not of this network, in words, by their address.
    strangers: BTreeMap<IpAddr, String>,
    /// Those that speak another version of the wire format.
    versions: BTreeMap<IpAddr, u8>,
    /// Configured peers, and why they could not be used.
    pinned: Vec<(SocketAddr, Option<AskError>)>,
    /// How long was listened.
    listened: Duration,
    /// The times of the newest blocks.
    pub(super) stamps: Vec<Stamp>,
}

/// A miner of this network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    tip: Tip,
    /// Whether its tip changed while this listened.
    is_new: bool,
    /// Whether it is this home's own.
    is_own: bool,
}

/// Why a peer did not give its newest block.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no answer within 3 s")]
    Late,
    #[error("no mvb node: {0}")]
    Frame(#[from] FrameError),
    #[error("no mvb node: {0}")]
    Wire(#[from] WireError),
    #[error("{0}")]
    OtherNetwork(String),
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
}

/// Listens, and asks. `own` is the block server's port of this home's miner.
pub(super) async fn listen(
    config: &Config,
    node: NodeId,
    long: Duration,
    own: Option<u16>,
) -> Heard {
    let net = NetTransport::new(running::transport(config));
    let params = config.chain_params();
    let mut heard = Heard {
        listened: long,
        ..Heard::default()
    };
    if let Ok(socket) = net.open(Channel::Status).await {
        let end = Instant::now() + long;
        // One byte more than a status may have, so that a longer one is seen to be too long.
        let mut buffer = [0; MAX_STATUS_BYTES + 1];
        while let Ok(received) = timeout_at(end, socket.receive(&mut buffer)).await {
            match received {
                Ok((length, source)) => heard.note(&buffer[..length], source, params, own),
                Err(_) => break,
            }
        }
    }
    heard.ask(&net, config, node).await;
    heard
}

impl Heard {
    fn note(&mut self, bytes: &[u8], source: SocketAddr, params: &ChainParams, own: Option<u16>) {
        if self.ours.len() + self.strangers.len() + self.versions.len() >= MOST_HEARD {
            return;
        }
        match Datagram::from_bytes(bytes) {
            Ok(Datagram::Status(status)) => self.note_status(&status, source, params, own),
            Err(WireError::Version { got }) => {
                self.versions.insert(source.ip(), got);
            }
            Ok(Datagram::Transaction(_)) | Err(_) => {}
        }
    }

    fn note_status(
        &mut self,
        status: &Status,
        source: SocketAddr,
        params: &ChainParams,
        own: Option<u16>,
    ) {
        let Status {
            announcement,
            endpoint,
        } = status;
        let differences = params.differences(&announcement.params);
        if !differences.is_empty() {
            self.strangers.insert(
                source.ip(),
                format!("peer {} runs {}", source.ip(), differences.join("; ")),
            );
            return;
        }
        let tip = announcement.tip;
        let is_own = source.ip().is_loopback() && own == Some(endpoint.port);
        self.ours
            .entry(SocketAddr::new(source.ip(), endpoint.port))
            .and_modify(|member| {
                member.is_new |= member.tip != tip;
                member.tip = tip;
            })
            .or_insert(Member {
                tip,
                is_new: false,
                is_own,
            });
    }

    async fn ask(&mut self, net: &NetTransport, config: &Config, node: NodeId) {
        let pinned: BTreeSet<SocketAddr> = config.peers.iter().copied().take(MOST_ASKED).collect();
        let heard = self.ours.keys().copied().take(MOST_ASKED);
        let all: BTreeSet<SocketAddr> = pinned.iter().copied().chain(heard).collect();
        for peer in all {
            let asked = timeout(PATIENCE, newest(net, peer, config.chain_params(), node)).await;
            let answer = asked.unwrap_or(Err(AskError::Late));
            let member = self.ours.get(&peer);
            if let Ok((tip, Some(timestamp))) = &answer {
                self.stamps.push(Stamp {
                    by: peer.to_string(),
                    height: tip.height,
                    timestamp: *timestamp,
                    is_new: member.is_some_and(|member| member.is_new),
                });
            }
            if pinned.contains(&peer) {
                self.pinned.push((peer, answer.err()));
            }
        }
    }
}

/// Asks a peer for its newest block, and returns that block's time; none at genesis, or where
/// the chain moved on meanwhile.
async fn newest(
    net: &NetTransport,
    peer: SocketAddr,
    params: &ChainParams,
    node: NodeId,
) -> Result<(Tip, Option<Timestamp>), AskError> {
    let mut stream = net.connect(peer).await.map_err(AskError::Connect)?;
    let hello = Hello::from_bytes(&read_frame(&mut stream, MAX_STATUS_BYTES).await?)?;
    let differences = params.differences(&hello.announcement.params);
    if !differences.is_empty() {
        return Err(AskError::OtherNetwork(format!(
            "it runs {}",
            differences.join("; ")
        )));
    }
    let tip = hello.announcement.tip;
    if tip.height == Height(0) {
        return Ok((tip, None));
    }
    let ours = Hello {
        least_version: WIRE_VERSION,
        greatest_version: WIRE_VERSION,
        features: 0,
        node,
        announcement: Announcement {
            params: params.clone(),
            tip: Tip::genesis(params.genesis_id()),
        },
    };
    write_frame(&mut stream, &ours.to_bytes()).await?;
    let ids: Vec<BlockId> = vec![tip.id];
    let request = Request::GetBlocks(GetBlocks { ids });
    write_frame(&mut stream, &request.to_frame()).await?;
    loop {
        let frame = read_frame(&mut stream, max_response_bytes(params)).await?;
        if frame.first() == Some(&(MessageType::Announcement as u8)) {
            continue;
        }
        return Ok(match Response::from_frame(&frame, params)? {
            Response::Block(block) if block.header.id() == tip.id => {
                (tip, Some(block.header.timestamp))
            }
            _ => (tip, None),
        });
    }
}

/// What the peers show.
pub(super) fn judge(params: &ChainParams, heard: &Heard) -> Vec<Finding> {
    let mut findings = Vec::new();
    let others: Vec<&Member> = heard.ours.values().filter(|peer| !peer.is_own).collect();
    let own = heard.ours.len() - others.len();
    let connected = heard.pinned.iter().any(|(_, error)| error.is_none());
    let listened = span(heard.listened.as_millis() as u64);
    if let Some(best) = others.iter().map(|peer| peer.tip.height).max() {
        let miners = match others.len() {
            1 => "1 miner".to_owned(),
            count => format!("{count} miners"),
        };
        findings.push(Finding::good(
            Check::Peers,
            format!(
                "{miners} of this network (genesis {:.8}) heard in {listened}, the longest chain \
                 at height {best}",
                params.genesis_id()
            ),
        ));
    } else if heard.strangers.is_empty() && heard.versions.is_empty() && !connected {
        let only_own = match own {
            0 => "",
            _ => " but this home's own",
        };
        findings.push(Finding::note(
            Check::Peers,
            format!("no miner{only_own} heard in {listened}"),
            "is `mvb miner` running elsewhere, with the same --network and ports? Across what \
             broadcasts do not pass, --set peers=ADDRESS:2607 reaches it",
        ));
    }
    findings.extend(strangers(heard, !others.is_empty() || connected));
    findings.extend(heard.pinned.iter().map(pinned));
    findings
}

/// Where only others' networks are heard, this home most likely has the wrong parameters;
/// beside peers of its own they are just neighbours.
fn strangers(heard: &Heard, has_own_network: bool) -> Vec<Finding> {
    let told = |found: String, remedy: &str| {
        if has_own_network {
            Finding::note(Check::Peers, found, remedy)
        } else {
            Finding::problem(Check::Peers, found, remedy)
        }
    };
    let parameters = heard.strangers.values().map(|stranger| {
        told(
            stranger.clone(),
            "to join it, begin with its parameters in an empty --home (--set NAME=VALUE); to keep \
             apart, give each network ports of its own",
        )
    });
    let versions = heard.versions.iter().map(|(address, version)| {
        told(
            format!(
                "peer {address} speaks wire version {version}, this mvb version {WIRE_VERSION}"
            ),
            "run the same mvb everywhere",
        )
    });
    parameters.chain(versions).collect()
}

fn pinned((peer, error): &(SocketAddr, Option<AskError>)) -> Finding {
    match error {
        None => Finding::good(Check::Peers, format!("configured peer {peer} answers")),
        Some(error) => Finding::problem(
            Check::Peers,
            format!("configured peer {peer}: {error}"),
            "is `mvb miner` running there, is TCP let in on that port, and is `peers` right?",
        ),
    }
}

/// What the blocks' times show of the clock.
pub(super) fn judge_clock(now: Timestamp, stamps: &[Stamp]) -> Finding {
    let remedy = "set the clocks right: `timedatectl set-ntp true` on each machine";
    let latest = stamps.iter().max_by_key(|stamp| stamp.timestamp);
    let Some(latest) = latest else {
        return Finding::good(Check::Clock, "no block to compare it with");
    };
    let Stamp { by, height, .. } = latest;
    let ahead = latest.timestamp.0.saturating_sub(now.0);
    if ahead > AHEAD {
        return Finding::problem(
            Check::Clock,
            format!(
                "block {height} of {by} is stamped {} after this machine's now",
                span(ahead)
            ),
            remedy,
        );
    }
    let late = |stamp: &&Stamp| stamp.is_new && now.0.saturating_sub(stamp.timestamp.0) > BEHIND;
    if let Some(stamp) = stamps.iter().find(late) {
        return Finding::problem(
            Check::Clock,
            format!(
                "block {} of {} was found just now and is stamped {} before this machine's now",
                stamp.height,
                stamp.by,
                span(now.0.saturating_sub(stamp.timestamp.0))
            ),
            remedy,
        );
    }
    Finding::good(
        Check::Clock,
        format!(
            "agrees with the newest block, {height} of {by}, stamped {} ago",
            span(now.0.saturating_sub(latest.timestamp.0))
        ),
    )
}

#[cfg(test)]
mod tests;
