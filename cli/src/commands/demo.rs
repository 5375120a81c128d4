//! `mvb demo`: a whole network of child processes on this machine, and the story told of
//! it. This file chooses the rules and cleans up; `network` starts and stops the programs,
//! `story` says what happens, `told` how it reads.

mod lab;
mod network;
mod story;
mod told;

use super::watch;
use crate::{
    args,
    context::Context,
    exit::{Exit, Interrupted, UsageError},
};
use anyhow::{Context as _, Result};
use mvb_actors::{
    env::{SearchJob, Searcher},
    search::PoolSearcher,
};
use mvb_kernels::Kernel;
use mvb_protocol::{
    amount::Amount,
    block::Header,
    hash::{BlockId, ContentRoot},
    numbers::{Height, Timestamp},
    params::{BLOCK_VERSION, ChainParams},
    target::Target,
};
use network::{Network, Search};
use std::{fs, path::PathBuf, time::Duration};
use story::Story;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a block should take, in seconds.
const BLOCK_SECONDS: f64 = 0.5;

/// How many miners there are unless another number is asked for.
const MINERS: u8 = 2;

/// How long the hash rate is measured.
const MEASURED: Duration = Duration::from_millis(400);

/// Runs the demonstration.
pub fn run(context: &Context, demo: &args::Demo) -> Result<Exit> {
    if demo.lab {
        return lab::run(context, demo);
    }
    let base = Base::new(context.explicit_home())?;
    let ended = watch::run(async {
        let signal = watch::signal();
        tokio::pin!(signal);
        let told = tokio::select! {
            biased;
            ended = &mut signal => {
                ended?;
                None
            }
            told = tell(context, demo, &base) => Some(told),
        };
        // Ctrl-C ends the children as well, and their end can be noticed first.
        match told {
            Some(Err(error)) => tokio::select! {
                biased;
                _ = &mut signal => Ok(None),
                () = sleep(Duration::from_millis(100)) => Err(error),
            },
            Some(Ok(())) => Ok(Some(())),
            None => Ok(None),
        }
    })?;
    match ended {
        Some(()) => Ok(Exit::Done),
        None => Err(Interrupted("the demo was ended and has cleaned up".to_owned()).into()),
    }
}

async fn tell(context: &Context, demo: &args::Demo, base: &Base) -> Result<()> {
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = context
        .config()?
        .search_kernel()
        .map_err(|error| UsageError(error.to_string()))?;
    let rate = measure(threads, kernel).await?;
    let params = ChainParams {
        network_name: "demo".to_owned(),
        difficulty: difficulty(rate),
        block_size: 2,
        block_reward: Amount::from_units(10_000_000),
        ..ChainParams::default()
    };
    let miners = usize::from(demo.miners.unwrap_or(MINERS));
    let search = Search {
        threads: (threads / miners).max(1),
        kernel,
    };
    let network = Network::new(base.path(), params, search)?;
    let mut story = Story::new(&context.output, network, started);
    story.rules(rate)?;
    story.first_miner().await?;
    story.more_miners(miners).await?;
    story.wallets().await?;
    let payment = story.payment().await?;
    if demo.once {
        return story.done(payment);
    }
    let orphan = story.cut().await?;
    story.mend(orphan).await?;
    story.balances()?;
    if let Base::Kept(path) = base {
        story.kept(path)?;
    }
    story.done(payment)
}

/// Where the homes lie.
enum Base {
    /// Removed at the end.
    Temporary(TempDir),
    /// Asked for, and left there.
    Kept(PathBuf),
}

impl Base {
    fn new(home: Option<PathBuf>) -> Result<Self> {
        let Some(path) = home else {
            let folder = tempfile::Builder::new().prefix("mvb-demo-").tempdir();
            return Ok(Self::Temporary(
                folder.context("cannot make a temporary folder")?,
            ));
        };
        let failed = || format!("cannot use {}", path.display());
        fs::create_dir_all(&path).with_context(failed)?;
        if fs::read_dir(&path).with_context(failed)?.next().is_some() {
            return Err(UsageError(format!(
                "the demo makes several homes and needs an empty folder for them, but {} is not \
                 empty: choose another --home, or leave it out",
                path.display()
            ))
            .into());
        }
        // The children run elsewhere.
        Ok(Self::Kept(fs::canonicalize(&path).with_context(failed)?))
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// Hashes a second that this machine tries with so many threads.
async fn measure(threads: usize, kernel: &'static Kernel) -> Result<f64> {
    let searcher = PoolSearcher::new(threads, kernel).context("cannot start the search threads")?;
    let target = Target::from_difficulty(64);
    let header = Header {
        previous: BlockId::default(),
        content_root: ContentRoot::default(),
        version: BLOCK_VERSION,
        target: target.to_compact(),
        height: Height(1),
        timestamp: Timestamp(0),
        nonce: 0,
    };
    let roots = (0..=u8::MAX).map(|number| ContentRoot([number; 32]));
    let job = SearchJob {
        header,
        roots: roots.take(searcher.roots()).collect(),
        target,
    };
    searcher.start(job, Box::new(|_| {}));
    let started = Instant::now();
    sleep(MEASURED).await;
    let rate = searcher.hashes() as f64 / started.elapsed().as_secs_f64();
    searcher.stop();
    Ok(rate)
}

/// The difficulty at which a block takes about [`BLOCK_SECONDS`] at this rate.
fn difficulty(rate: f64) -> u8 {
    // A float cast saturates, and 1 to 40 is far from where it would.
    (rate * BLOCK_SECONDS)
        .max(2.0)
        .log2()
        .round()
        .clamp(1.0, 40.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difficulty_gives_a_block_in_about_half_a_second() {
        for rate in [5e4, 1e6, 18.4e6, 3e8, 1e10] {
            let seconds = Target::from_difficulty(difficulty(rate)).work().as_f64() / rate;
            assert!((0.35..0.71).contains(&seconds), "{rate} {seconds}");
        }
        assert_eq!(difficulty(0.0), 1);
        assert_eq!(difficulty(f64::NAN), 1);
    }

    #[test]
    fn a_home_that_is_not_empty_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "x").unwrap();
        assert!(Base::new(Some(folder.path().to_owned())).is_err());
        assert!(folder.path().join("mine").exists());
        assert!(Base::new(Some(folder.path().join("new"))).is_ok());
    }
}
