//! Whether broadcasts leave this machine on each interface that the configuration uses, and
//! come back to it, as they would reach everybody else there.

use super::{Check, Finding};
use crate::transport::{
    Network, TransportConfig,
    probe::{self, Outcome, Way},
};
use mvb_actors::env::Channel;
use mvb_protocol::wire::NodeId;
use std::time::Duration;

/// How long a datagram may take to come back. It takes microseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends one datagram to each port each way.
pub(super) async fn examine(config: &TransportConfig, node: NodeId) -> Vec<Finding> {
    let mut findings = Vec::new();
    for channel in [Channel::Status, Channel::Transactions] {
        let (port, _) = config.udp(channel);
        match probe::reach(config, channel, node.0, PATIENCE).await {
            Ok(ways) => findings.extend(judge(config.network, port, &ways)),
            // Why a port is not to be had is told with the ports.
            Err(error) => tracing::debug!(%error, port, "not tried"),
        }
    }
    findings
}

fn judge(network: Network, port: u16, ways: &[Way]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ways.iter().map(|way| judge_way(port, way)).collect();
    // The first way is loopback.
    if network == Network::Lan && ways.len() <= 1 {
        findings.push(Finding::problem(
            Check::Broadcast,
            format!("UDP {port}: no interface in use has a broadcast address"),
            "connect the machine to a network, or check --set interfaces=NAME; `--set \
             peers=ADDRESS:2607` reaches a miner without broadcasts",
        ));
    }
    findings
}

fn judge_way(port: u16, way: &Way) -> Finding {
    let Way {
        interface,
        own,
        broadcast,
        outcome,
    } = way;
    let way = format!("{interface}, from {own} to {broadcast} port {port}");
    match outcome {
        Outcome::Heard => Finding::good(Check::Broadcast, format!("{way}: heard by this machine")),
        Outcome::Lost => Finding::problem(
            Check::Broadcast,
            format!("{way}: sent, but never came back"),
            format!("a firewall here drops it: let UDP {port} in and out on {interface}"),
        ),
        Outcome::NotSent(error) => Finding::problem(
            Check::Broadcast,
            format!("{way}: cannot be sent: {error}"),
            format!(
                "bring {interface} up (cable, `ip link set {interface} up`), or leave it out with \
                 --set interfaces=OTHER"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use std::{io, net::Ipv4Addr};

    fn way(outcome: Outcome) -> Way {
        Way {
            interface: "eth0".into(),
            own: Ipv4Addr::new(10, 0, 0, 5),
            broadcast: Ipv4Addr::new(10, 0, 0, 255),
            outcome,
        }
    }

    #[test]
    fn each_way_is_told_by_what_came_of_its_datagram() {
        let down = || io::Error::from(io::ErrorKind::NetworkUnreachable);
        for (outcome, level, says) in [
            (Outcome::Heard, Level::Good, "10.0.0.255 port 2606: heard"),
            (Outcome::Lost, Level::Problem, "never came back"),
            (Outcome::NotSent(down()), Level::Problem, "cannot be sent"),
        ] {
            let finding = judge_way(2606, &way(outcome));
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.found.contains(says), "{finding:?}");
            assert_eq!(finding.remedy.is_some(), level == Level::Problem);
        }
    }

    #[test]
    fn a_lan_without_an_interface_is_a_problem_and_local_is_not() {
        let loopback = [way(Outcome::Heard)];
        let last = |network| judge(network, 2606, &loopback).pop().unwrap().level;
        assert_eq!(last(Network::Lan), Level::Problem);
        assert_eq!(last(Network::Local), Level::Good);
    }
}
