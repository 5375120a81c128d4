//! Firewalls that are known to be at work here. What they let through only the system's
//! owner can ask, so this tells which one there is and how it is opened for mvb.

use super::{Check, Finding};
use crate::{config::Config, transport::Network};
use std::{fs, path::Path};

/// The firewalls that can be seen without being the system's owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    ufw: bool,
    firewalld: bool,
}

/// Looks for firewalls below a root, which is `/` but in tests.
pub(super) fn examine(root: &Path, config: &Config) -> Finding {
    let ports = [
        config.status_broadcast_port,
        config.transaction_port,
        config.block_server_port,
    ];
    judge(config.network, look(root), ports)
}

fn look(root: &Path) -> Seen {
    let ufw = fs::read_to_string(root.join("etc/ufw/ufw.conf")).unwrap_or_default();
    Seen {
        ufw: ufw
            .lines()
            .any(|line| line.trim().eq_ignore_ascii_case("enabled=yes")),
        firewalld: root.join("run/firewalld").is_dir(),
    }
}

fn judge(network: Network, seen: Seen, [status, payments, blocks]: [u16; 3]) -> Finding {
    if network == Network::Local {
        let found = "of no account with network local, which stays on this machine";
        return Finding::good(Check::Firewall, found);
    }
    if seen.ufw {
        return Finding::note(
            Check::Firewall,
            "ufw is at work on this machine",
            format!(
                "let the others in, unless done: sudo ufw allow {status}/udp; sudo ufw allow \
                 {payments}/udp; sudo ufw allow {blocks}/tcp"
            ),
        );
    }
    if seen.firewalld {
        return Finding::note(
            Check::Firewall,
            "firewalld is at work on this machine",
            format!(
                "let the others in, unless done: sudo firewall-cmd --add-port={status}/udp \
                 --add-port={payments}/udp --add-port={blocks}/tcp"
            ),
        );
    }
    Finding::good(
        Check::Firewall,
        format!(
            "neither ufw nor firewalld is at work; another one would have to let in UDP {status} \
             and {payments} and TCP {blocks}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    const PORTS: [u16; 3] = [2606, 2608, 2607];

    fn seen_with(prepare: impl FnOnce(&Path)) -> Seen {
        let root = tempfile::tempdir().unwrap();
        prepare(root.path());
        look(root.path())
    }

    #[test]
    fn a_firewall_at_work_is_told_with_how_to_open_it() {
        let ufw = seen_with(|root| {
            fs::create_dir_all(root.join("etc/ufw")).unwrap();
            fs::write(root.join("etc/ufw/ufw.conf"), "# x\nENABLED=yes\n").unwrap();
        });
        let firewalld = seen_with(|root| fs::create_dir_all(root.join("run/firewalld")).unwrap());
        for (seen, name, command) in [
            (ufw, "ufw", "sudo ufw allow 2607/tcp"),
            (firewalld, "firewalld", "--add-port=2608/udp"),
        ] {
            let finding = judge(Network::Lan, seen, PORTS);
            assert_eq!(finding.level, Level::Note);
            assert!(finding.found.contains(name), "{finding:?}");
            assert!(finding.remedy.unwrap().contains(command));
        }
    }

    #[test]
    fn a_firewall_that_is_off_or_of_no_account_is_no_finding() {
        let off = seen_with(|root| {
            fs::create_dir_all(root.join("etc/ufw")).unwrap();
            fs::write(root.join("etc/ufw/ufw.conf"), "ENABLED=no\n").unwrap();
        });
        assert_eq!(off, Seen::default());
        assert_eq!(judge(Network::Lan, off, PORTS).level, Level::Good);
        let on = Seen {
            ufw: true,
            firewalld: true,
        };
        assert_eq!(judge(Network::Local, on, PORTS).level, Level::Good);
    }
}
