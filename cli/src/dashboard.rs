//! `mvb miner --dashboard`: the whole node on one screen. A thread of its own takes snapshots
//! of what the actors show, keeps a little history of them and draws a few times a second, so
//! that no actor ever waits for a terminal. It changes nothing and asks nobody.
//!
//! [`Dashboard`] owns the screen: dropping it, and the hook that ends the process on a panic,
//! leave the terminal as it was.

mod draw;
mod model;
pub mod screen;
#[cfg(test)]
mod tests;

use crate::{logs, narrator::Seen};
use model::{Model, Recent};
use mvb_actors::env::WallClock;
use mvb_node::{running::Running, snapshot::NodeSnapshot, system::SystemClock};
use mvb_protocol::{address::Address, chain::ChainStore};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How often it draws. What is drawn changes once a second at most, but for blocks.
const BETWEEN_DRAWS: Duration = Duration::from_millis(250);

/// What does not change while it runs.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The network's name.
    pub network: String,
    /// Its genesis id.
    pub genesis: String,
    /// The search kernel.
    pub kernel: &'static str,
    /// Search threads.
    pub threads: usize,
    /// The block server's port.
    pub port: u16,
    /// Who gets the rewards.
    pub reward_to: Address,
    /// How the addresses of this home are called.
    pub names: BTreeMap<Address, String>,
}

/// Where the snapshots come from.
pub struct Sources {
    snapshots: watch::Receiver<Arc<NodeSnapshot>>,
    store: Arc<dyn ChainStore>,
}

/// The screen and the thread that draws on it. Dropping it gives the terminal back.
pub struct Dashboard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Somebody pressed `q`, or the terminal is gone.
    quit: AtomicBool,
    /// The thread is to end.
    stop: AtomicBool,
}

impl Sources {
    /// Of a running node and its chain.
    pub fn new(running: &Running) -> Self {
        Self {
            snapshots: running.snapshots.clone(),
            store: running.store.clone(),
        }
    }

    fn seen(&self) -> Seen {
        let snapshot = self.snapshots.borrow();
        Seen {
            chain: snapshot.chain.clone(),
            mempool: snapshot.mempool,
            peers: snapshot.peers.clone(),
            mining: snapshot.mining.clone(),
        }
    }
}

impl Dashboard {
    /// Takes the terminal over, and what is logged with it.
    ///
    /// # Errors
    /// When the terminal refuses, or there is no thread to be had.
    pub fn start(identity: Identity, sources: Sources) -> io::Result<Self> {
        screen::enter()?;
        logs::PANE.open();
        let shared = Arc::<Shared>::default();
        let told = shared.clone();
        let thread = thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(move || {
                // A terminal that fails is one that is gone.
                let _ = run(identity, &sources, &told);
                told.quit.store(true, Ordering::Relaxed);
            });
        match thread {
            Ok(thread) => Ok(Self {
                shared,
                thread: Some(thread),
            }),
            Err(error) => {
                screen::leave();
                logs::PANE.close();
                Err(error)
            }
        }
    }

    /// Whether the person at the terminal wants it to end.
    pub fn is_quit(&self) -> bool {
        self.shared.quit.load(Ordering::Relaxed)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Had it panicked, the process would have ended.
            let _ = thread.join();
        }
        screen::leave();
        logs::PANE.close();
    }
}

fn run(identity: Identity, sources: &Sources, shared: &Shared) -> io::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    let started = Instant::now();
    let mut recent = Recent::default();
    let mut model = Model::new(identity, sources.seen());
    while !shared.stop.load(Ordering::Relaxed) {
        model.observe(sources.seen(), started.elapsed(), SystemClock.now());
        model.log = logs::PANE.tail(screen::MOST_ROWS);
        recent.refresh(&mut model, &*sources.store);
        screen::drawing(|| terminal.draw(|frame| draw::draw(frame, &model)).map(drop))?;
        if event::poll(BETWEEN_DRAWS)? && is_quit(&event::read()?) {
            shared.quit.store(true, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// In raw mode Ctrl-C is a key like any other.
fn is_quit(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('q' | 'Q') => !control,
            KeyCode::Char('c') => control,
            _ => false,
        }
}
