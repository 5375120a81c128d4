//! Looks at a running node several times a second, tells what the narrator finds worth
//! telling, and ends with a signal or when the command has what it wants. `mvb miner`,
//! `mvb wallet sync` and `mvb wallet send --wait` run their nodes through it.

use crate::{
    context::Context,
    logs,
    narrator::{Event, Narrator, Seen},
    output::{OutputError, utc},
    progress::Progress,
};
use mvb_actors::view::View;
use std::{cell::RefCell, future::Future, io, thread, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// How often the node is looked at. Looking costs four borrows.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// By Ctrl-C or SIGTERM.
    Signal,
    /// The command has what it wants.
    With(T),
}

/// What to do with what the narrator tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Everything, on stdout.
    Everything,
    /// Warnings, on stderr: stdout holds a result.
    Warnings,
    /// Everything, in the dashboard's log: the screen is taken.
    Pane,
}

/// What ends a command that runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// A signal.
    Signal,
    /// That, or the end of stdin: whoever holds its other end may be killed, and must leave
    /// nothing behind.
    StdinEnds,
}

impl Until {
    /// From the option of that name.
    pub fn stdin_ends(stdin_ends: bool) -> Self {
        if stdin_ends {
            Self::StdinEnds
        } else {
            Self::Signal
        }
    }
}

thread_local! {
    /// Whether the process was asked to end, while [`run`] runs.
    static ASKED_TO_END: RefCell<Option<watch::Receiver<bool>>> = const { RefCell::new(None) };
}

/// Runs a future that needs actors. A signal that comes meanwhile is heard by [`signal`]
/// also where nobody waits for it yet: a command that has said something ends as its help
/// says, never as the system ends programs that do not listen.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    run_until(Until::Signal, future)
}

/// The same; what ends it is heard as if it were a signal.
pub fn run_until<T>(until: Until, future: impl Future<Output = T>) -> T {
    let system = actix_rt::System::new();
    let result = system.block_on(async {
        match listen(until) {
            Ok(asked) => ASKED_TO_END.set(Some(asked)),
            Err(error) => tracing::warn!(%error, "cannot listen for signals"),
        }
        let result = future.await;
        ASKED_TO_END.take();
        result
    });
    // An actor that ends with its system is polled a last time and may set a timer, which is a
    // panic where no runtime is entered.
    let runtime = system.runtime().tokio_runtime().handle().clone();
    let _entered = runtime.enter();
    drop(system);
    result
}

/// Resolves when the process is asked to end.
pub async fn signal() -> io::Result<()> {
    let asked = ASKED_TO_END.with_borrow(Clone::clone);
    let mut asked = match asked {
        Some(asked) => asked,
        None => listen(Until::Signal)?,
    };
    // The other end lives as long as the runtime that this waits on.
    let _ = asked.wait_for(|asked| *asked).await;
    Ok(())
}

/// Listens for Ctrl-C and SIGTERM from now on.
fn listen(until: Until) -> io::Result<watch::Receiver<bool>> {
    let (tell, asked) = watch::channel(false);
    if until == Until::StdinEnds {
        let tell = tell.clone();
        let reads = move || {
            // A stdin that cannot be read has ended as well.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            tell.send_replace(true);
        };
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(reads)?;
    }
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        actix_rt::spawn(async move {
            tokio::select! {
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            tell.send_replace(true);
        });
    }
    #[cfg(not(unix))]
    actix_rt::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            tell.send_replace(true);
        }
    });
    Ok(asked)
}

/// Watches a node until a signal, or until `wanted` returns something. `wanted` hears what
/// the node shows and how long it has been watched.
///
/// # Errors
/// When the node cannot go on, stdout is closed, or the signals cannot be listened for.
pub async fn watch<T>(
    context: &Context,
    view: &View,
    tell: Tell,
    mut wanted: impl FnMut(&Seen, Duration) -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Ended<T>> {
    let started = Instant::now();
    let mut narrator = Narrator::new(&Seen::of(view));
    let mut progress = match tell {
        Tell::Everything | Tell::Warnings => Progress::new(&context.output),
        Tell::Pane => Progress::none(),
    };
    let ended = signal();
    tokio::pin!(ended);
    loop {
        if let Some(reason) = &*view.fatal.borrow() {
            anyhow::bail!("{reason}");
        }
        let (seen, elapsed) = (Seen::of(view), started.elapsed());
        match &seen.peers.sync {
            Some(sync) => progress.set(sync.height.0, sync.claimed.0, "downloading blocks"),
            None => progress.clear(),
        }
        for event in narrator.observe(&seen, elapsed) {
            tell_one(context, tell, &progress, &event)?;
        }
        if let Some(found) = wanted(&seen, elapsed)? {
            return Ok(Ended::With(found));
        }
        tokio::select! {
            biased;
            signal = &mut ended => {
                signal?;
                return Ok(Ended::Signal);
            }
            () = sleep(BETWEEN_LOOKS) => {}
        }
    }
}

fn tell_one(
    context: &Context,
    tell: Tell,
    progress: &Progress,
    event: &Event,
) -> Result<(), OutputError> {
    // A bar shows the same at a glance.
    if progress.is_live() && matches!(event, Event::Download { .. }) {
        return Ok(());
    }
    progress.suspend(|| match (tell, event) {
        (Tell::Everything, event) => context.output.event(event),
        (Tell::Warnings, Event::Warning { text }) => {
            context.output.warn(text);
            Ok(())
        }
        (Tell::Warnings, _) => Ok(()),
        (Tell::Pane, event) => {
            let now = utc(context.now().0);
            let time = now.get(11..).unwrap_or_default();
            logs::PANE.push(&format!("{time} {event}"));
            Ok(())
        }
    })
}

impl Seen {
    /// What a node shows now.
    pub fn of(view: &View) -> Self {
        Self {
            chain: view.chain.borrow().clone(),
            mempool: *view.mempool.borrow(),
            peers: view.peers.borrow().clone(),
            mining: view.mining.borrow().clone(),
        }
    }
}
