//! What must hold many times in a row: commands beside a miner that never pauses, and a
//! miner that is killed at random moments.

use super::{ChainSeen, Lab, chain, is_tip, mine, new_address, reaches, verify};
use crate::process::{Mvb, Running, Stopwatch};
use mvb_actors::env::{Channel, RandomStream, Transport};
use mvb_node::transport::{NetTransport, TransportConfig};
use mvb_protocol::wire::{Datagram, MAX_STATUS_BYTES, MAX_TRANSACTION_BYTES};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// A home whose miner never waits for payments, and finds some blocks a second.
fn restless(lab: &Lab, name: &str) -> Mvb {
    lab.home(name).set("block_size", 1).set("difficulty", 17)
}

/// `wallet list-addresses` and `wallet send` succeed `times` times in a row while a miner
/// on the same home mines without pause. Returns how many blocks it made meanwhile.
pub fn commands_beside_a_busy_miner(program: &Path, times: usize) -> u64 {
    let lab = Lab::new(program);
    let home = restless(&lab, "miner");
    let alice = new_address(&home, "alice");
    let mut miner = mine(&home);
    let before = reaches(&mut miner, 1);
    for turn in 1..=times {
        let listed = home.run(&["wallet", "list-addresses"]);
        assert!(
            listed.status.success(),
            "list-addresses, turn {turn}: {listed}"
        );
        let sent = home.run(&["wallet", "send", "mining_rewards", "0.000001", &alice]);
        assert!(sent.status.success(), "send, turn {turn}: {sent}");
    }
    // On a busy machine the search, which has the lowest priority, may get its turn late.
    reaches(&mut miner, before.height + 1);
    let after = chain(&home);
    let done = stop(miner);
    assert!(done, "the miner ended cleanly");
    verify(&home);
    after.height - before.height
}

fn stop(miner: Running) -> bool {
    miner.signal(crate::process::Signal::Terminate);
    miner.finish(crate::process::PATIENCE).status.success()
}

/// What many kills came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kills {
    /// Times the miner was killed.
    pub kills: usize,
    /// Tips it had announced, over the network or on its stdout.
    pub announced: usize,
    /// The blocks of all homes at the end.
    pub blocks: u64,
}

/// How many kills one home gets before a new one takes its place, so that a chain stays
/// short enough to be replayed after each.
const KILLS_PER_HOME: usize = 50;

/// A mining node that commits all the time is killed at random moments: each time it starts
/// again, its chain verifies, every block it had announced is still stored, and its work is
/// never lower than what it announced.
pub fn kill_nine(program: &Path, times: usize, seed: u64) -> Kills {
    let random = RandomStream::new(seed, 0);
    let ear = Eavesdropper::begin();
    let mut all = Kills::default();
    while all.kills < times {
        let lab = Lab::new(program);
        let home = restless(&lab, "miner")
            .set("difficulty", 8)
            .set("status_broadcast_interval_seconds", 0.1);
        let kills = KILLS_PER_HOME.min(times - all.kills);
        let moment = format!("after {} kills, seed {seed}", all.kills);
        let (announced, height) = kill_one_home(&home, kills, &random, &ear, &moment);
        all.kills += kills;
        all.announced += announced;
        all.blocks += height;
    }
    all
}

/// The kills of one home. Returns how many tips it had announced, and its height.
fn kill_one_home(
    home: &Mvb,
    kills: usize,
    random: &RandomStream,
    ear: &Eavesdropper,
    moment: &str,
) -> (usize, u64) {
    let mut announced = BTreeSet::new();
    let mut best = 0;
    for turn in 1..=kills {
        let moment = format!("{moment}, turn {turn}");
        // Some lives end while the store is being created or opened, or while the miner
        // still listens; most end among commits.
        let life = Duration::from_millis(random.below(600));
        let told = live(mine(home), life);
        if announced.is_empty() && told.is_empty() && !has_begun(home) {
            continue;
        }
        best = told.iter().map(|seen| seen.work).fold(best, u128::max);
        let mut now: BTreeSet<_> = told.into_iter().map(|seen| seen.tip).collect();
        now.extend(ear.heard());
        let work = chain(home).work;
        verify(home);
        assert!(
            work >= best,
            "{moment}: work {work} is below the announced {best}"
        );
        check_blocks(home, &now, &moment);
        announced.extend(now);
    }
    check_blocks(home, &announced, moment);
    (announced.len(), chain(home).height)
}

/// Whether a life was long enough to begin a chain: before that nothing can be looked at.
fn has_begun(home: &Mvb) -> bool {
    let found = home.run(&["chain", "verify"]);
    let began = found.status.success();
    let is_new = ["no home", "no chain of network"]
        .iter()
        .any(|words| found.stderr.contains(words));
    assert!(began || is_new, "{found}");
    began
}

/// Lets a miner live for a while, kills it, and returns the tips it said it had.
fn live(mut miner: Running, life: Duration) -> Vec<ChainSeen> {
    let began = Stopwatch::start();
    let mut said = Vec::new();
    while began.elapsed() < life {
        said.extend(miner.line_within(began.left(life)));
    }
    let done = miner.kill();
    said.extend(done.stdout.lines().map(str::to_owned));
    said.iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|event: &Value| is_tip(event) || event["event"] == "started")
        .filter_map(|event| ChainSeen::of(&event))
        .collect()
}

/// Every announced block can still be shown.
fn check_blocks(home: &Mvb, ids: &BTreeSet<String>, moment: &str) {
    for id in ids {
        let shown = home.with(["--json"]).run(&["chain", "block", id]);
        let stored = shown.status.success();
        assert!(
            stored,
            "{moment}: the announced block {id} is gone: {shown}"
        );
    }
}

/// Listens to the status datagrams of this namespace, as any peer would.
struct Eavesdropper {
    tips: Arc<Mutex<Vec<String>>>,
}

impl Eavesdropper {
    /// Listens from now on, until the process ends.
    fn begin() -> Self {
        let tips = Arc::new(Mutex::new(Vec::new()));
        let kept = tips.clone();
        let (ready, opened) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let net = NetTransport::new(TransportConfig::default());
                let socket = net.open(Channel::Status).await.expect("the shared port");
                // The one who waits has failed if it is gone; then nobody needs this.
                let _ = ready.send(());
                let mut buffer = [0; MAX_STATUS_BYTES + MAX_TRANSACTION_BYTES];
                while let Ok((length, _)) = socket.receive(&mut buffer).await {
                    let Ok(Datagram::Status(status)) = Datagram::from_bytes(&buffer[..length])
                    else {
                        continue;
                    };
                    let tip = status.announcement.tip;
                    // Genesis is no block: it follows from the parameters.
                    if tip.height.0 > 0 {
                        let mut tips = kept.lock().unwrap_or_else(PoisonError::into_inner);
                        tips.push(tip.id.to_string());
                    }
                }
            });
        });
        opened.recv().expect("the eavesdropper listens");
        Self { tips }
    }

    /// The tips announced since the last time this was asked.
    fn heard(&self) -> Vec<String> {
        let mut tips = self.tips.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *tips)
    }
}
