//! `mvb demo --lab`: a network in this process that a person splits and heals, and attacks.
//! This file takes commands, typed or from the page, one after the other, and shows what came of
//! them; the network is the node's lab, the page the explorer's.

mod page;
mod picture;
mod words;

use super::told::Told;
use crate::{
    args,
    commands::{http, watch},
    context::Context,
    exit::Exit,
    output::Output,
};
use anyhow::{Context as _, Result};
use mvb_explorer::lab::{LabPage, Told as Shown};
use mvb_node::{
    lab::{Lab, LabConfig, LabError},
    system::fresh_node_id,
};
use page::Page;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    thread,
    time::Duration,
};
use tokio::sync::mpsc;
use words::{Command, HELP};

/// How many miners there are unless another number is asked for.
const MINERS: u8 = 4;

/// How long a block takes with all the hash power.
const BLOCK_TIME: Duration = Duration::from_millis(1_500);

/// The longest command that is read, in bytes.
const LONGEST: usize = 1_000;

/// The most commands that wait for their turn.
const MOST_WAITING: usize = 16;

/// Runs the lab until `quit` or the end of the input.
pub fn run(context: &Context, demo: &args::Demo) -> Result<Exit> {
    let off = demo.no_http.then(|| "off".to_owned());
    let config = context.config_with(&[("http", demo.http.clone().or(off))])?;
    watch::run(async {
        let lab = Lab::start(LabConfig {
            miners: usize::from(demo.miners.unwrap_or(MINERS)),
            block_time: BLOCK_TIME,
            seed: None,
        })
        .await?;
        let page = Page::new(&lab, BLOCK_TIME)?;
        let (commands, mut sent) = mpsc::channel(MOST_WAITING);
        let token: String = fresh_node_id()?
            .0
            .map(|byte| format!("{byte:02x}"))
            .concat();
        let site = LabPage::new(page.subscribe(), commands, &token);
        let server = http::site(context, &config, &site)?;
        let session = Session {
            lab: &lab,
            page: &page,
            output: &context.output,
            is_person: io::stdin().is_terminal() && !context.output.is_json(),
        };
        session.welcome(server.as_ref().map(mvb_explorer::Server::url))?;
        let ended = watch::signal();
        tokio::pin!(ended);
        // Ctrl-C ends the lab like `quit`; there is nothing to finish.
        tokio::select! {
            biased;
            signal = &mut ended => signal.context("cannot listen for signals")?,
            done = session.run(&mut sent) => done?,
            failed = page.follow(&lab) => failed?,
        }
        Ok(Exit::Done)
    })
}

struct Session<'c> {
    lab: &'c Lab,
    page: &'c Page,
    output: &'c Output,
    is_person: bool,
}

impl Session<'_> {
    fn welcome(&self, page: Option<String>) -> Result<()> {
        self.fact(&format!(
            "{} miners and a wallet run in this process, wired as for real, on a network in \
             memory. Together they find a block every {} s. `help` lists what you can do, `quit` \
             ends it.",
            self.lab.miners(),
            BLOCK_TIME.as_secs_f64()
        ))?;
        match page {
            Some(page) => self.fact(&format!(
                "A browser shows it all, and takes the same commands by a click, at {page}"
            )),
            None => Ok(()),
        }
    }

    async fn run(&self, sent: &mut mpsc::Receiver<String>) -> Result<()> {
        let mut lines = lines();
        loop {
            self.prompt();
            let (line, is_typed) = tokio::select! {
                biased;
                typed = lines.recv() => match typed {
                    Some(line) => (line, true),
                    None => return Ok(()),
                },
                Some(line) = sent.recv() => (line, false),
            };
            let text = line.trim().to_owned();
            if text.is_empty() {
                continue;
            }
            self.page.tell(Shown::Command(text.clone()));
            // What is typed at a terminal stands there already.
            if !(self.is_person && is_typed) {
                if self.is_person {
                    self.end_prompt();
                }
                self.output.report(&Told::Command { text })?;
            }
            match line.parse() {
                Ok(Command::Quit) => return Ok(()),
                Ok(command) => {
                    self.page.set_busy(Some(line.trim()));
                    let done = self.obey(command).await;
                    self.page.set_busy(None);
                    done?;
                    self.page.renew(self.lab)?;
                }
                Err(words::Unclear { reason }) => {
                    self.fact(&format!("{reason}; `help` lists what you can do"))?;
                }
            }
        }
    }

    /// What a person asks for and cannot have is told, and the lab goes on.
    async fn obey(&self, command: Command) -> Result<()> {
        let done = match command {
            Command::Help => {
                for line in HELP {
                    self.line(line)?;
                }
                return Ok(());
            }
            Command::Quit => return Ok(()),
            Command::Status => self.status().await,
            Command::Split(sides) => self.split(&sides).await,
            Command::Heal => self.heal().await,
            Command::Pay { from, to, amount } => match self.lab.pay(&from, &to, amount).await {
                Ok(id) => {
                    return self.fact(&format!(
                        "payment {id:.8} of {amount} from {from} to {to} is announced"
                    ));
                }
                Err(error) => Err(error.into()),
            },
            Command::Power { miner, percent } => match self.lab.set_power(miner, percent) {
                Ok(()) => return self.powers(),
                Err(error) => Err(error.into()),
            },
            Command::Share => {
                self.lab.share_power();
                return self.powers();
            }
            Command::Wait(blocks) => match self.lab.grow(blocks).await {
                Ok(()) => self.status().await,
                Err(error) => Err(error.into()),
            },
            Command::Attack(attack) => self.attack(attack).await,
        };
        match done {
            Err(error) if error.is::<LabError>() => self.fact(&error.to_string()),
            done => done,
        }
    }

    async fn status(&self) -> Result<()> {
        let picture = self.lab.picture()?;
        for line in picture::lines(&picture) {
            self.line(&line)?;
        }
        Ok(())
    }

    async fn split(&self, sides: &[usize]) -> Result<()> {
        self.lab.split(sides)?;
        self.fact(
            "The network is split: each side mines on by itself, and knows nothing of the other. \
             `wait 3`, then `heal`.",
        )
    }

    async fn heal(&self) -> Result<()> {
        let before = self.lab.picture()?;
        self.lab.heal();
        self.lab.agree().await?;
        for line in picture::healed(&before, &self.lab.picture()?) {
            self.fact(&line)?;
        }
        self.status().await
    }

    async fn attack(&self, attack: mvb_node::lab::Attack) -> Result<()> {
        let mut failed = None;
        let mut tell = |text: String| {
            if let Err(error) = self.fact(&text) {
                failed = Some(error);
            }
        };
        self.lab.attack(attack, &mut tell).await?;
        match failed {
            Some(error) => Err(error),
            None => self.status().await,
        }
    }

    fn powers(&self) -> Result<()> {
        let powers: Vec<String> = (1..=self.lab.miners())
            .map(|miner| format!("m{miner} {:.0}", self.lab.power(miner)))
            .collect();
        self.fact(&format!(
            "Of 100 parts of the hash power have: {}.",
            powers.join(", ")
        ))
    }

    fn fact(&self, text: &str) -> Result<()> {
        let text = text.to_owned();
        self.page.tell(Shown::Fact(text.clone()));
        Ok(self.output.report(&Told::Fact { text })?)
    }

    fn line(&self, text: &str) -> Result<()> {
        let text = text.to_owned();
        Ok(self.output.report(&Told::Line { text })?)
    }

    /// Goes on below the prompt.
    fn end_prompt(&self) {
        // As with the prompt itself.
        let _ = writeln!(io::stdout());
    }

    fn prompt(&self) {
        if self.is_person {
            let mut stdout = io::stdout();
            // A prompt that cannot be shown is followed by an answer that cannot.
            let _ = write!(stdout, "lab> ").and_then(|()| stdout.flush());
        }
    }
}

/// The lines of stdin, read by a thread of their own that ends with the input. Nobody waits
/// for it: it may wait for a person.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    let reads = move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let cut = line.chars().take(LONGEST).collect();
            if sender.blocking_send(cut).is_err() {
                return;
            }
        }
    };
    // Without a thread there is no input: the lab ends as at its end.
    let _ = thread::Builder::new()
        .name("commands".to_owned())
        .spawn(reads);
    lines
}
