//! The demonstration's programs: children of this binary with homes, ports and parameters of
//! their own. It starts and stops them and reads their chains; it tells nothing.
//! All traffic stays on the loopback network, and no child outlives the [`Network`].

use crate::commands::child;
use anyhow::{Context as _, Result, anyhow, bail};
use mvb_kernels::Kernel;
use mvb_node::{home::Home, wallet::KeyStore};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::Block,
    chain::{ChainStore, Tip},
    hash::TxId,
    numbers::Height,
    params::ChainParams,
};
use mvb_storage::{LmdbStore, MemoryStore};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How often the chains are looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);

/// How long anything may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It mines.
    Miner,
    /// It follows.
    Wallet,
}

/// One side of a cut network: whoever uses the same ports is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    status_port: u16,
    transaction_port: u16,
}

/// One program with its home.
pub struct Member {
    /// Its name, and that of its folder.
    pub name: String,
    part: Part,
    home: Home,
    port: u16,
    http: Option<u16>,
    child: Option<Child>,
}

/// All of them.
pub struct Network {
    /// Its members in the order in which they joined.
    pub members: Vec<Member>,
    /// Its rules.
    pub params: ChainParams,
    /// Everybody's side, and the one that can be cut off.
    pub sides: [Side; 2],
    base: PathBuf,
    search: Search,
}

/// How each miner searches.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Threads of one miner.
    pub threads: usize,
    /// What they search with.
    pub kernel: &'static Kernel,
}

impl Network {
    /// Without members yet; their homes will lie under `base`.
    pub fn new(base: &Path, params: ChainParams, search: Search) -> Result<Self> {
        params.validate()?;
        let [a, b, c, d] = free_udp_ports().context("no free UDP port on the loopback network")?;
        let side = |status_port, transaction_port| Side {
            status_port,
            transaction_port,
        };
        Ok(Self {
            members: Vec::new(),
            params,
            sides: [side(a, b), side(c, d)],
            base: base.to_owned(),
            search,
        })
    }

    /// Adds a member with an empty home and starts it. The first one serves its explorer: one
    /// address to look at is enough.
    pub fn join(&mut self, name: &str, part: Part) -> Result<usize> {
        let (home, _) = Home::open_or_create(&self.base.join(name))?;
        let free_port = || free_tcp_port().context("no free TCP port on the loopback network");
        let http = match self.members.is_empty() {
            true => Some(free_port()?),
            false => None,
        };
        self.members.push(Member {
            name: name.to_owned(),
            part,
            home,
            port: free_port()?,
            http,
            child: None,
        });
        let index = self.members.len() - 1;
        self.start(index, self.sides[0])?;
        Ok(index)
    }

    /// Starts a member on one side.
    pub fn start(&mut self, index: usize, side: Side) -> Result<()> {
        let member = &self.members[index];
        let mut command = self.command(member, side)?;
        match member.part {
            Part::Miner => {
                let Search { threads, kernel } = self.search;
                command.args(["miner", "--threads", &threads.to_string()]);
                command.args(["--kernel", kernel.name()]);
                command.args(["--set", &format!("block_server_port={}", member.port)]);
            }
            Part::Wallet => {
                command.args(["wallet", "sync"]);
            }
        }
        match member.http {
            Some(port) => command.args(["--http", &port.to_string()]),
            None => command.arg("--no-http"),
        };
        let log = File::create(self.base.join(format!("{}.log", member.name)))?;
        let errors = log.try_clone()?;
        command.stdout(log).stderr(errors);
        let child =
            child::start(&mut command).with_context(|| format!("cannot start {}", member.name))?;
        self.members[index].child = Some(child);
        Ok(())
    }

    /// Ends a member's program. Its home stays.
    pub fn stop(&mut self, index: usize) {
        self.members[index].end();
    }

    /// Runs a wallet's command on a member's home, and returns its JSON document.
    pub fn wallet(&self, index: usize, side: Side, args: &[&str]) -> Result<serde_json::Value> {
        let member = &self.members[index];
        let output = self
            .command(member, side)?
            .args(["--json", "wallet"])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .context("cannot start mvb")?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            let told = told.lines().last().unwrap_or("no reason was told");
            bail!("{} wallet {}: {told}", member.name, args.join(" "));
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} wallet {}", member.name, args.join(" ")))
    }

    /// Waits until something holds, looking at all members several times a second. A member
    /// that has ended meanwhile ends the wait.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = holds(self)? {
                return Ok(found);
            }
            self.check_alive()?;
            if started.elapsed() > PATIENCE {
                bail!("gave up after {} s: {what}", PATIENCE.as_secs());
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }

    fn check_alive(&mut self) -> Result<()> {
        let log = |name: &str| self.base.join(format!("{name}.log"));
        for member in &mut self.members {
            let Some(child) = &mut member.child else {
                continue;
            };
            if let Some(status) = child.try_wait()? {
                let told = fs::read_to_string(log(&member.name)).unwrap_or_default();
                let told = told.lines().last().unwrap_or("it said nothing").to_owned();
                bail!("{} has ended ({status}): {told}", member.name);
            }
        }
        Ok(())
    }

    /// The page of a member's explorer, where it serves one.
    pub fn page(&self, index: usize) -> Option<String> {
        let port = self.members[index].http?;
        Some(format!("http://{}:{port}/", Ipv4Addr::LOCALHOST))
    }

    /// A member's chain, as it is on its disk.
    pub fn chain(&self, index: usize) -> Result<Arc<dyn ChainStore>> {
        let store: Option<LmdbStore> = self.members[index].home.read_chain(&self.params)?;
        Ok(match store {
            Some(store) => Arc::new(store),
            None => Arc::new(MemoryStore::new(self.params.clone())),
        })
    }

    /// A member's tip.
    pub fn tip(&self, index: usize) -> Result<Tip> {
        Ok(self.chain(index)?.snapshot()?.tip()?)
    }

    /// The tip that all these members have, if they agree.
    pub fn common_tip(&self, indices: impl IntoIterator<Item = usize>) -> Result<Option<Tip>> {
        let mut common = None;
        for index in indices {
            let tip = self.tip(index)?;
            if common.is_some_and(|common| common != tip) {
                return Ok(None);
            }
            common = Some(tip);
        }
        Ok(common)
    }

    /// The height of the payment's block on a member's chain.
    pub fn confirmed(&self, index: usize, id: &TxId) -> Result<Option<Height>> {
        let chain = self.chain(index)?;
        let location = chain.snapshot()?.transaction(id)?;
        Ok(location.map(|location| location.height))
    }

    /// A block of a member's active chain.
    pub fn block(&self, index: usize, height: Height) -> Result<Block> {
        let chain = self.chain(index)?;
        let snapshot = chain.snapshot()?;
        let id = snapshot.active_id(height)?;
        id.map(|id| snapshot.block(&id))
            .transpose()?
            .flatten()
            .ok_or_else(|| anyhow!("{} has no block {height}", self.members[index].name))
    }

    /// An address's balance on a member's chain.
    pub fn balance(&self, index: usize, address: &Address) -> Result<Amount> {
        let chain = self.chain(index)?;
        Ok(chain.snapshot()?.account(address)?.balance)
    }

    /// The address of a key in a member's home.
    pub fn address(&self, index: usize, key: &str) -> Result<Address> {
        let keys = KeyStore::new(self.members[index].home.path());
        Ok(keys.find(&key.parse()?)?.address())
    }

    /// Which miner an address belongs to.
    pub fn miner_of(&self, address: &Address) -> Option<&str> {
        (0..self.members.len())
            .filter(|index| self.members[*index].part == Part::Miner)
            .find(|index| self.address(*index, "mining_rewards").ok() == Some(*address))
            .map(|index| self.members[index].name.as_str())
    }

    /// This binary on a member's home, with the network's parameters and none from outside.
    fn command(&self, member: &Member, side: Side) -> Result<Command> {
        let settings = [
            ("status_broadcast_interval_seconds", "1".to_owned()),
            ("transaction_broadcast_interval_seconds", "1".to_owned()),
            ("status_broadcast_port", side.status_port.to_string()),
            ("transaction_port", side.transaction_port.to_string()),
        ];
        child::command(member.home.path(), &self.params, &settings)
    }
}

impl Member {
    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way nothing is left to do about it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
    }
}

/// Four UDP ports that nobody uses now. Held together, so that they differ.
fn free_udp_ports() -> std::io::Result<[u16; 4]> {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let sockets = [bind()?, bind()?, bind()?, bind()?];
    let mut ports = [0; 4];
    for (port, socket) in ports.iter_mut().zip(&sockets) {
        *port = socket.local_addr()?.port();
    }
    Ok(ports)
}

fn free_tcp_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
