//! `mvb doctor`: examines what a node on this home needs and prints what was found, with the
//! remedy of what is wrong.

use super::watch;
use crate::{
    context::Context,
    exit::{Exit, Interrupted},
    output::count,
};
use anyhow::Result;
use mvb_node::{
    config::Config,
    doctor::{self, Check, Finding, Level},
};
use serde::Serialize;
use std::{fmt, time::Duration};

/// Beside one status interval, in which every miner speaks once.
const MARGIN: Duration = Duration::from_secs(1);

/// Examines and prints.
pub fn run(context: &Context, seconds: Option<u16>) -> Result<Exit> {
    let home = context.home_path()?.display().to_string();
    let report = match context.config() {
        Ok(config) => {
            let listen = seconds.map_or(config.status_broadcast_interval_seconds + MARGIN, |s| {
                Duration::from_secs(u64::from(s))
            });
            context.output.hint(format_args!(
                "listening for {:.1} s …",
                listen.as_secs_f64()
            ));
            let findings = watch::run(examine(&config, listen))?;
            let params = config.chain_params();
            Report::new(
                home,
                Some((&params.network_name, params.genesis_id().to_string())),
                &findings,
            )
        }
        // Whatever else there is to find depends on the settings.
        Err(error) => {
            let wrong = Finding::problem(
                Check::Settings,
                crate::exit::line(&error),
                "correct it where the line says; `mvb config` lists every parameter and what it \
                 allows",
            );
            Report::new(home, None, &[wrong])
        }
    };
    context.output.report(&report)?;
    Ok(if report.well {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn examine(config: &Config, listen: Duration) -> Result<Vec<Finding>> {
    tokio::select! {
        biased;
        ended = watch::signal() => {
            ended?;
            Err(Interrupted("nothing was examined to its end".to_owned()).into())
        }
        findings = doctor::examine(config, listen) => Ok(findings),
    }
}

#[derive(Serialize)]
struct Report {
    home: String,
    network: Option<String>,
    genesis: Option<String>,
    well: bool,
    findings: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    check: &'static str,
    level: &'static str,
    found: String,
    remedy: Option<String>,
}

impl Report {
    fn new(home: String, network: Option<(&String, String)>, findings: &[Finding]) -> Self {
        let (network, genesis) = network
            .map(|(name, genesis)| (name.clone(), genesis))
            .unzip();
        Self {
            home,
            network,
            genesis,
            well: findings.iter().all(|found| found.level != Level::Problem),
            findings: findings.iter().map(Line::of).collect(),
        }
    }

    fn of_level(&self, level: Level) -> usize {
        let is_it = |line: &&Line| line.level == level.name();
        self.findings.iter().filter(is_it).count()
    }
}

impl Line {
    fn of(finding: &Finding) -> Self {
        Self {
            check: finding.check.name(),
            level: finding.level.name(),
            found: finding.found.clone(),
            remedy: finding.remedy.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.network, &self.genesis) {
            (Some(network), Some(genesis)) => {
                writeln!(
                    f,
                    "home {}, network {network:?} (genesis {genesis:.8})\n",
                    self.home
                )?;
            }
            _ => writeln!(f, "home {}\n", self.home)?,
        }
        for line in &self.findings {
            writeln!(f, "{:8} {:10} {}", line.level, line.check, line.found)?;
            if let Some(remedy) = &line.remedy {
                writeln!(f, "{:19} -> {remedy}", "")?;
            }
        }
        let (problems, notes) = (self.of_level(Level::Problem), self.of_level(Level::Note));
        match (problems, notes) {
            (0, 0) => writeln!(f, "\nall is well"),
            (0, notes) => writeln!(f, "\nall is well, with {}", count(notes, "note")),
            (problems, 0) => writeln!(f, "\n{}", count(problems, "problem")),
            (problems, notes) => writeln!(
                f,
                "\n{} and {}",
                count(problems, "problem"),
                count(notes, "note")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problems: usize) -> Report {
        let finding = Finding::problem(Check::Disk, "3.0 MiB free", "make room");
        let network = "mvb".to_owned();
        Report::new(
            "/home/x".into(),
            Some((&network, "3fa0b1c2d4".into())),
            &vec![finding; problems],
        )
    }

    #[test]
    fn a_finding_reads_as_level_check_value_and_remedy() {
        assert_eq!(
            report(1).to_string(),
            "home /home/x, network \"mvb\" (genesis 3fa0b1c2)\n\n\
             problem  disk       3.0 MiB free\n                    -> make room\n\n\
             1 problem\n"
        );
        assert!(report(0).to_string().ends_with("\nall is well\n"));
    }

    #[test]
    fn only_problems_make_it_unwell() {
        assert!(!report(1).well && report(0).well);
        assert_eq!(
            serde_json::to_value(report(1)).unwrap()["findings"][0]["remedy"],
            "make room"
        );
    }
}
