//! Whether a node of this configuration would get its ports, by trying each, and who has
//! those that it would not get.

use super::{
    Check, Finding,
    holders::{self, Process, Protocol},
};
use crate::transport::{NetTransport, TransportConfig};
use mvb_actors::env::{Channel, Transport};
use std::io;

/// A port as it was found.
#[derive(Debug)]
struct Seen {
    parameter: &'static str,
    port: u16,
    /// What the system answered to the attempt; `None` where it gave the port.
    refused: Option<io::ErrorKind>,
    holders: Vec<Process>,
}

/// What is known of the block server's port beside [`Seen`].
#[derive(Clone, Copy, Debug, Default)]
struct BlockServer {
    /// Whether a person asked for just this port.
    explicit: bool,
    /// The port of this home's own miner.
    own: Option<u16>,
    /// The port a miner would take instead.
    next: Option<u16>,
}

/// Tries the ports, each for a moment. `own` is the block server's port of this home's miner.
pub(super) async fn examine(config: &TransportConfig, own: Option<u16>) -> Vec<Finding> {
    let net = NetTransport::new(config.clone());
    let mut findings = Vec::new();
    for channel in [Channel::Status, Channel::Transactions] {
        let (port, parameter) = config.udp(channel);
        let refused = net.open(channel).await.err().map(|error| error.kind());
        let seen = Seen {
            parameter,
            port,
            refused,
            holders: others(Protocol::Udp, port),
        };
        findings.push(shared(&seen));
    }
    let only_this = TransportConfig {
        block_server_port_is_explicit: true,
        ..config.clone()
    };
    let listens = NetTransport::new(only_this).listen().await;
    let port = config.block_server_port;
    let seen = Seen {
        parameter: "block_server_port",
        port,
        refused: listens.err().map(|error| error.kind()),
        holders: others(Protocol::Tcp, port),
    };
    let next = match seen.refused {
        Some(_) => net.listen().await.ok().map(|listener| listener.port()),
        None => None,
    };
    let server = BlockServer {
        explicit: config.block_server_port_is_explicit,
        own,
        next,
    };
    findings.push(block_server(&seen, server));
    findings
}

/// The processes that hold a port, but for this one.
fn others(protocol: Protocol, port: u16) -> Vec<Process> {
    let mut holders = holders::of_port(protocol, port);
    holders.retain(|holder| holder.id != std::process::id());
    holders
}

fn shared(seen: &Seen) -> Finding {
    let Seen {
        parameter, port, ..
    } = seen;
    let by = by(&seen.holders);
    match seen.refused {
        None if seen.holders.is_empty() => Finding::good(
            Check::Ports,
            format!("{parameter} {port} (UDP) is free and can be shared"),
        ),
        None => Finding::good(
            Check::Ports,
            format!("{parameter} {port} (UDP) is shared with {by}"),
        ),
        Some(io::ErrorKind::AddrInUse) => Finding::problem(
            Check::Ports,
            format!("{parameter} {port} (UDP) is held by {by}, which does not share it"),
            format!(
                "end that program, or choose another port for every node of this network with \
                 --set {parameter}=PORT"
            ),
        ),
        Some(kind) => refused(seen, kind),
    }
}

fn block_server(seen: &Seen, server: BlockServer) -> Finding {
    let Seen {
        parameter, port, ..
    } = seen;
    if let Some(own) = server.own {
        let asked = if own == *port {
            String::new()
        } else {
            format!(", as {port} was taken")
        };
        return Finding::good(
            Check::Ports,
            format!("this home's miner serves blocks on TCP {own}{asked}"),
        );
    }
    let by = by(&seen.holders);
    match (seen.refused, server.next) {
        (None, _) => Finding::good(Check::Ports, format!("{parameter} {port} (TCP) is free")),
        (Some(io::ErrorKind::AddrInUse), Some(next)) if !server.explicit => Finding::good(
            Check::Ports,
            format!("{parameter} {port} (TCP) is held by {by}; a miner here takes {next}"),
        ),
        (Some(io::ErrorKind::AddrInUse), _) => Finding::problem(
            Check::Ports,
            format!("{parameter} {port} (TCP) is held by {by}"),
            format!(
                "choose another with --set {parameter}=PORT, or leave it out to take the next \
                 free one"
            ),
        ),
        (Some(kind), _) => refused(seen, kind),
    }
}

fn refused(seen: &Seen, kind: io::ErrorKind) -> Finding {
    let Seen {
        parameter, port, ..
    } = seen;
    Finding::problem(
        Check::Ports,
        format!("{parameter} {port} cannot be used: {kind}"),
        format!("choose a port from 1024 to 65535 with --set {parameter}=PORT"),
    )
}

fn by(holders: &[Process]) -> String {
    match holders {
        [] => "a program of another user".to_owned(),
        [one] => format!("{} (process {})", one.name, one.id),
        [first, rest @ ..] => format!(
            "{} (process {}) and {} more",
            first.name,
            first.id,
            rest.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn seen(refused: Option<io::ErrorKind>, holders: &[(u32, &str)]) -> Seen {
        Seen {
            parameter: "status_broadcast_port",
            port: 2606,
            refused,
            holders: holders
                .iter()
                .map(|(id, name)| Process {
                    id: *id,
                    name: (*name).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn a_shared_port_names_who_holds_it() {
        for (seen, level, says) in [
            (seen(None, &[]), Level::Good, "2606 (UDP) is free"),
            (
                seen(None, &[(7, "mvb"), (8, "mvb")]),
                Level::Good,
                "shared with mvb (process 7) and 1 more",
            ),
            (
                seen(Some(io::ErrorKind::AddrInUse), &[(9, "nc")]),
                Level::Problem,
                "held by nc (process 9), which does not share it",
            ),
            (
                seen(Some(io::ErrorKind::AddrInUse), &[]),
                Level::Problem,
                "a program of another user",
            ),
            (
                seen(Some(io::ErrorKind::PermissionDenied), &[]),
                Level::Problem,
                "permission denied",
            ),
        ] {
            let finding = shared(&seen);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.found.contains(says), "{finding:?}");
            assert_eq!(finding.remedy.is_some(), level == Level::Problem);
        }
    }

    #[test]
    fn a_busy_block_server_port_matters_only_where_it_was_asked_for() {
        let busy = || seen(Some(io::ErrorKind::AddrInUse), &[(9, "nc")]);
        let explicit = BlockServer {
            explicit: true,
            own: None,
            next: None,
        };
        assert_eq!(block_server(&busy(), explicit).level, Level::Problem);
        let next = BlockServer {
            next: Some(2609),
            ..BlockServer::default()
        };
        let told = block_server(&busy(), next);
        assert_eq!(told.level, Level::Good);
        assert!(told.found.ends_with("a miner here takes 2609"), "{told:?}");
        let own = BlockServer {
            own: Some(2606),
            ..explicit
        };
        let told = block_server(&busy(), own);
        assert_eq!(told.level, Level::Good);
        assert!(told.found.contains("this home's miner"), "{told:?}");
    }
}
