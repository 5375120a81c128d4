//! Real nodes for a benchmark: this binary as child processes with homes, ports and rules of
//! their own, all on the loopback network. Benchmarks put chains into the homes, start nodes,
//! read what they say and end them; no child outlives its handle, no folder its [`Bed`].

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use super::interrupt;
use crate::commands::{child, watch};
use anyhow::{Context as _, Result, bail};
use mvb_node::home::{Home, Role};
use mvb_protocol::params::ChainParams;
use mvb_storage::LmdbStore;
use serde_json::Value;
use std::{
    fs::{self, File},
    future::Future,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long a node may take to start, or to do what a benchmark waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a measurement that has child processes: a signal ends it, and them with it.
///
/// # Errors
/// The measurement's, or that it was interrupted.
pub fn run<T>(measurement: impl Future<Output = Result<T>>) -> Result<T> {
    watch::run(async {
        tokio::select! {
            biased;
            ended = watch::signal() => {
                ended?;
                Err(interrupt::interrupted())
            }
            measured = measurement => measured,
        }
    })
}

/// A network of its own: rules, ports, and a folder for the homes that is removed at the end.
pub struct Bed {
    /// The rules.
    pub params: ChainParams,
    /// The UDP port of payments.
    pub transaction_port: u16,
    status_port: u16,
    base: TempDir,
}

/// A node that runs, or did. Dropping it ends the process.
pub struct NodeProcess {
    /// Its name, and that of its home's folder.
    pub name: String,
    /// The block server's port.
    pub port: u16,
    child: Child,
    lines: UnboundedReceiver<(Instant, Value)>,
    log: PathBuf,
}

impl Bed {
    /// A network without nodes yet.
    ///
    /// # Errors
    /// When the rules are impossible, or there is no folder or port to be had.
    pub fn new(params: ChainParams) -> Result<Self> {
        params.validate()?;
        let folder = tempfile::Builder::new().prefix("mvb-bench-").tempdir();
        let [status_port, transaction_port] =
            free_udp_ports().context("no free UDP port on the loopback network")?;
        Ok(Self {
            params,
            transaction_port,
            status_port,
            base: folder.context("cannot make a temporary folder")?,
        })
    }

    /// Where a node's home is.
    pub fn home(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.base.path()
    }

    /// Makes a home with an empty chain, and has `fill` put blocks into it.
    ///
    /// # Errors
    /// When the home or the chain cannot be made, and what `fill` says.
    pub fn make_chain(
        &self,
        name: &str,
        fill: impl FnOnce(&LmdbStore) -> Result<()>,
    ) -> Result<()> {
        let (home, _) = Home::open_or_create(&self.home(name))?;
        let lock = home.lock(Role::Miner)?;
        let chain = home.open_chain(&self.params, &lock)?;
        fill(&chain.store)
    }

    /// Starts a miner of so many search threads with further parameters, and waits until it says that it has begun.
    ///
    /// # Errors
    /// When it cannot be started, or ends or says nothing.
    pub async fn start(
        &self,
        name: &str,
        threads: usize,
        settings: &[(&str, String)],
    ) -> Result<NodeProcess> {
        let port = free_tcp_port().context("no free TCP port on the loopback network")?;
        let ports = [
            ("status_broadcast_port", self.status_port.to_string()),
            ("transaction_port", self.transaction_port.to_string()),
            ("block_server_port", port.to_string()),
        ];
        let settings: Vec<_> = ports.into_iter().chain(settings.iter().cloned()).collect();
        let mut command = child::command(&self.home(name), &self.params, &settings)?;
        command.args(["--json", "miner", "--threads", &threads.to_string()]);
        let log = self.base.path().join(format!("{name}.log"));
        command.stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child =
            child::start(&mut command).with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("its stdout is a pipe")?;
        let (sender, lines) = unbounded_channel();
        // It ends with the pipe, which the child's end closes.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = sender.send((Instant::now(), event));
                }
            }
        });
        let mut node = NodeProcess {
            name: name.to_owned(),
            port: 0,
            child,
            lines,
            log,
        };
        let (_, begun) = node
            .wait_for("its first line", |event| event["event"] == "started")
            .await?;
        let port = begun["port"].as_u64().unwrap_or_default();
        node.port = u16::try_from(port).context("a port has 16 bits")?;
        Ok(node)
    }
}

impl NodeProcess {
    /// Waits for a line of its JSON that satisfies; says when it was read.
    ///
    /// # Errors
    /// With what it said last, when it ends or [`PATIENCE`] does.
    pub async fn wait_for(
        &mut self,
        what: &str,
        found: impl Fn(&Value) -> bool,
    ) -> Result<(Instant, Value)> {
        let wait = async {
            while let Some((at, event)) = self.lines.recv().await {
                if found(&event) {
                    return Some((at, event));
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("{} ended before {what}: {}", self.name, self.last_words()),
            Err(_) => bail!(
                "{} did not come to {what}: {}",
                self.name,
                self.last_words()
            ),
        }
    }

    /// Refuses to go on with a node that has ended.
    ///
    /// # Errors
    /// With what it said last.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status}): {}", self.name, self.last_words()),
        }
    }

    fn last_words(&self) -> String {
        let told = fs::read_to_string(&self.log).unwrap_or_default();
        told.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two UDP ports that nobody uses now. Held together, so that they differ.
fn free_udp_ports() -> std::io::Result<[u16; 2]> {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let sockets = [bind()?, bind()?];
    Ok([
        sockets[0].local_addr()?.port(),
        sockets[1].local_addr()?.port(),
    ])
}

fn free_tcp_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
