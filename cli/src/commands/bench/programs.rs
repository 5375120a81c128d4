//! Real node processes for a measurement: this binary again, with homes, ports and parameters of
//! its own, on the loopback network only. What a process uses is read where Linux tells it. No
//! child outlives its handle.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use crate::commands::child;
use anyhow::{Context as _, Result, bail};
use mvb_protocol::params::ChainParams;
use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ports that nobody uses now.
pub struct Ports {
    status: u16,
    transactions: u16,
    /// Of the block server.
    pub blocks: u16,
}

impl Ports {
    /// Three of them.
    pub fn free() -> io::Result<Self> {
        let udp = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        // Held together, so that they differ.
        let (status, transactions) = (udp()?, udp()?);
        let blocks = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            status: status.local_addr()?.port(),
            transactions: transactions.local_addr()?.port(),
            blocks: blocks.local_addr()?.port(),
        })
    }
}

/// A program that runs.
pub struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts this binary on a home with a chain's parameters, and no other from outside.
    pub fn start(
        name: &'static str,
        home: &Path,
        params: &ChainParams,
        ports: &Ports,
        arguments: &[&str],
    ) -> Result<Self> {
        let log = home.join(format!("{name}.log"));
        let written = File::create(&log)?;
        let errors = written.try_clone()?;
        let mut command = command(home, params, ports)?;
        command.args(arguments).stdout(written).stderr(errors);
        // A group of its own is woken by the system, if it is held when this process is killed.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child =
            child::start(&mut command).with_context(|| format!("cannot start the {name}"))?;
        Ok(Self { name, child, log })
    }

    /// Fails when it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let told = fs::read_to_string(&self.log).unwrap_or_default();
        let told = told.lines().last().unwrap_or("it said nothing");
        bail!("the {} has ended ({status}): {told}", self.name);
    }

    /// Waits until its block server can be reached.
    pub fn until_serving(&mut self, port: u16) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            self.check_alive()?;
            if began.elapsed() > PATIENCE {
                bail!("the {} does not answer at {address}", self.name);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Stops it where it is, until [`Program::go_on`], and returns when all its threads stand
    /// still, those in a system call as well.
    ///
    /// # Errors
    /// When it has ended.
    #[cfg(unix)]
    pub fn hold(&mut self) -> Result<()> {
        use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        // One that ends is left to be waited for by its handle.
        let either = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), either)?;
        self.check_alive()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When the system does not let it.
    #[cfg(unix)]
    pub fn go_on(&mut self) -> Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// Cannot be done here.
    #[cfg(not(unix))]
    pub fn hold(&mut self) -> Result<()> {
        bail!("a process can be held on Unix only, and this measurement needs it")
    }

    /// Cannot be done here.
    #[cfg(not(unix))]
    pub fn go_on(&mut self) -> Result<()> {
        Ok(())
    }

    /// Its anonymous memory now, in bytes; `None` where the system does not tell.
    pub fn anonymous_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib << 10)
    }

    /// The processor time it has used so far, in seconds; `None` where the system does not tell.
    pub fn processor_time(&self) -> Option<f64> {
        /// Linux tells it in hundredths of a second on every architecture it runs on.
        const TICKS: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some((ticks(11)? + ticks(12)?) / TICKS)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This binary on a home.
pub fn command(home: &Path, params: &ChainParams, ports: &Ports) -> Result<Command> {
    let settings = [
        ("status_broadcast_port", ports.status.to_string()),
        ("transaction_port", ports.transactions.to_string()),
    ];
    child::command(home, params, &settings)
}
