//! `mvb wallet sync`: follows the network, and announces this home's payments meanwhile.

use crate::{
    args,
    commands::{
        http,
        watch::{self, Ended, Tell, Until},
    },
    context::{Context, open_wallet},
    exit::{Exit, Interrupted},
    narrator::{Event, Returns, Seen},
};
use anyhow::{Result, bail};
use mvb_explorer::Server;
use mvb_node::{
    config::Config,
    home::{Found, Home},
    running::{self, Work},
    wallet::{PaymentState, Wallet},
};
use mvb_protocol::chain::Tip;
use std::time::Duration;

/// Follows the network until a signal, or until synced.
pub fn run(context: &Context, sync: args::Sync) -> Result<Exit> {
    let config = context.config_with(&[sync.http.parameter()])?;
    let (home, found) = Home::open_or_create(&config.home)?;
    if found == Found::Created {
        context
            .output
            .hint(format_args!("made a new home at {}", home.path().display()));
    }
    watch::run_until(
        Until::stdin_ends(sync.until_stdin_ends),
        follow(context, &config, &home, sync.until_synced),
    )
}

async fn follow(
    context: &Context,
    config: &Config,
    home: &Home,
    until_synced: bool,
) -> Result<Exit> {
    let running = running::start(home, config, Work::Follow).await?;
    // Who only waits for the chain has nothing to look at.
    let explorer = match until_synced && !config.is_explicit("http") {
        true => None,
        false => http::site(context, config, &running.handle)?,
    };
    let wallet = open_wallet(config, home)?;
    let tip = running.view.chain.borrow().tip;
    let params = config.chain_params();
    context.output.event(&Event::Listening {
        network: params.network_name.clone(),
        genesis: params.genesis_id().to_string(),
        height: tip.height.0,
        tip: tip.id.to_string(),
        explorer: explorer.as_ref().map(Server::url),
    })?;
    let mut pending = PendingCount::default();
    let mut reorgs = Reorgs::default();
    let mut still = Stillness::default();
    let interval = config.status_broadcast_interval_seconds;
    let ended = watch::watch(context, &running.view, Tell::Everything, |seen, elapsed| {
        for event in reorgs.touched(&wallet, seen)? {
            context.output.event(&event)?;
        }
        if let Some(event) = pending.changed(&wallet, seen, elapsed)? {
            context.output.event(&event)?;
        }
        if until_synced && let Some(stranger) = only_strangers(seen, elapsed, interval) {
            bail!(
                "{stranger}, and nobody of this network was heard: set the same parameters \
                 with --set, or another port for each network"
            );
        }
        let synced = until_synced && still.is_synced(seen, elapsed, interval);
        Ok(synced.then_some(seen.chain.tip))
    })
    .await?;
    match ended {
        Ended::With(tip) => {
            context.output.report(&Event::Synced {
                height: tip.height.0,
                tip: tip.id.to_string(),
            })?;
            Ok(Exit::Done)
        }
        Ended::Signal if until_synced => {
            let told = "not synced yet; run it again to go on from here";
            Err(Interrupted(told.to_owned()).into())
        }
        Ended::Signal => Ok(Exit::Done),
    }
}

/// What tells the peers heard apart, where after two status intervals none of them is of
/// this network: waiting longer would help nobody.
fn only_strangers(seen: &Seen, elapsed: Duration, interval: Duration) -> Option<&str> {
    let waited = elapsed >= interval * 2;
    let alone = waited && seen.peers.last_heard.is_none();
    seen.peers.other_network.as_deref().filter(|_| alone)
}

/// How long nothing has moved, to tell a claim that nobody can prove from a download that
/// has not begun.
#[derive(Default)]
struct Stillness {
    tip: Option<Tip>,
    since: Duration,
}

impl Stillness {
    /// Claims of more work that nothing came of in this many status intervals are not
    /// believed any more.
    const INTERVALS: u32 = 4;

    /// Whether a miner was heard and nobody heard is known to have a better chain.
    fn is_synced(&mut self, seen: &Seen, elapsed: Duration, interval: Duration) -> bool {
        let (tip, peers) = (seen.chain.tip, &seen.peers);
        if self.tip != Some(tip) || peers.sync.is_some() || peers.last_heard.is_none() {
            self.tip = Some(tip);
            self.since = elapsed;
        }
        if peers.sync.is_some() || peers.last_heard.is_none() {
            return false;
        }
        let claimed = peers.peers.iter().any(|peer| peer.tip.is_better_than(&tip));
        !claimed || elapsed >= self.since + interval * Self::INTERVALS
    }
}

/// How many payments of this home wait, looked up when the tip changes and every second.
#[derive(Default)]
struct PendingCount {
    told: usize,
    tip: Option<Tip>,
    looked: Duration,
}

impl PendingCount {
    const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

    fn changed(
        &mut self,
        wallet: &Wallet,
        seen: &Seen,
        elapsed: Duration,
    ) -> Result<Option<Event>> {
        let tip = Some(seen.chain.tip);
        if self.tip == tip && elapsed < self.looked + Self::BETWEEN_LOOKS {
            return Ok(None);
        }
        (self.tip, self.looked) = (tip, elapsed);
        let mut count = 0;
        for saved in wallet.outbox().unsettled()? {
            let state = wallet.state(&saved.id)?;
            let waits = matches!(state, PaymentState::Pending | PaymentState::Orphaned { .. });
            count += usize::from(waits);
        }
        if count == self.told {
            return Ok(None);
        }
        self.told = count;
        Ok(Some(Event::Pending { count }))
    }
}

/// Looks up this home's payments on the chain whenever the tip has changed.
#[derive(Default)]
struct Reorgs {
    tip: Option<Tip>,
    payments: Returns,
}

impl Reorgs {
    /// The newest payments of each key that are looked for. More than these within a tenth
    /// of a second are told of no reorg.
    const NEWEST: usize = 32;

    fn touched(&mut self, wallet: &Wallet, seen: &Seen) -> Result<Vec<Event>> {
        let tip = seen.chain.tip;
        // The blocks of a download are old, and settled by what is on top of them.
        if self.tip == Some(tip) || seen.peers.sync.is_some() {
            return Ok(Vec::new());
        }
        self.tip = Some(tip);
        let mut own = wallet.own_payments(Self::NEWEST)?;
        own.extend(self.payments.known().cloned());
        let mut now = Vec::with_capacity(own.len());
        for payment in own {
            let standing = wallet.standing(&payment)?;
            now.push((payment, standing));
        }
        Ok(self.payments.observe(now, tip.height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_actors::view::{ChainView, MempoolView, MiningView, PeerView, PeersView, SyncView};
    use mvb_protocol::{
        hash::BlockId,
        numbers::{Height, Timestamp},
        params::ChainParams,
        target::Target,
        wire::NodeId,
    };

    const INTERVAL: Duration = Duration::from_secs(5);

    fn seen(peers: PeersView) -> Seen {
        Seen {
            chain: ChainView {
                tip: Tip::genesis(ChainParams::default().genesis_id()),
                timestamp: Timestamp(0),
                payments: 0,
                reorgs: 0,
                deepest_reorg: 0,
                blocks_found: 0,
            },
            mempool: MempoolView::default(),
            peers,
            mining: MiningView::default(),
        }
    }

    fn heard(tip: Tip) -> PeersView {
        PeersView {
            peers: vec![PeerView {
                address: "127.0.0.1:2607".parse().unwrap(),
                node: NodeId([1; 16]),
                tip,
                heard: Timestamp(1),
                proven: false,
                pinned: false,
                session: false,
            }],
            last_heard: Some(Timestamp(1)),
            ..PeersView::default()
        }
    }

    fn better() -> Tip {
        Tip {
            id: BlockId([1; 32]),
            height: Height(9),
            work: Target::from_difficulty(20).work(),
        }
    }

    fn synced_at(peers: &PeersView, seconds: &[u64]) -> Option<u64> {
        let mut still = Stillness::default();
        seconds.iter().copied().find(|second| {
            still.is_synced(&seen(peers.clone()), Duration::from_secs(*second), INTERVAL)
        })
    }

    #[test]
    fn nobody_heard_is_never_synced() {
        assert_eq!(synced_at(&PeersView::default(), &[0, 1, 100]), None);
    }

    #[test]
    fn where_everybody_is_of_another_network_waiting_ends() {
        let peers = PeersView {
            other_network: Some("peer 127.0.0.1 runs difficulty 20, this network 26".into()),
            ..PeersView::default()
        };
        let after = |peers: &PeersView, seconds| {
            only_strangers(&seen(peers.clone()), Duration::from_secs(seconds), INTERVAL).is_some()
        };
        assert!(!after(&peers, 9) && after(&peers, 10));
        let mut joined = peers;
        joined.last_heard = Some(Timestamp(1));
        assert!(!after(&joined, 10) && !after(&PeersView::default(), 10));
    }

    #[test]
    fn a_miner_with_the_same_tip_means_synced() {
        let same = seen(PeersView::default()).chain.tip;
        assert_eq!(synced_at(&heard(same), &[0, 1]), Some(0));
    }

    #[test]
    fn a_download_is_waited_for() {
        let mut peers = heard(better());
        peers.sync = Some(SyncView {
            peer: "127.0.0.1:2607".parse().unwrap(),
            height: Height(0),
            claimed: Height(9),
        });
        assert_eq!(synced_at(&peers, &[0, 19, 21, 1_000]), None);
    }

    #[test]
    fn a_claim_that_nothing_comes_of_is_believed_for_four_intervals() {
        assert_eq!(synced_at(&heard(better()), &[0, 1, 19, 20, 21]), Some(20));
    }
}
