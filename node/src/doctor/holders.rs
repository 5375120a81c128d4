//! Which processes hold a port, as far as the system tells: Linux shows one's own user's
//! processes under `/proc`. Elsewhere, and of others' processes, nothing is known.

use std::{collections::BTreeSet, fs, path::Path};

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    /// Its id.
    pub(super) id: u32,
    /// What the system calls it.
    pub(super) name: String,
}

/// One of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

/// The processes that hold a port, or none where that cannot be known.
pub(super) fn of_port(protocol: Protocol, port: u16) -> Vec<Process> {
    let tables = match protocol {
        Protocol::Udp => ["net/udp", "net/udp6"],
        Protocol::Tcp => ["net/tcp", "net/tcp6"],
    };
    let proc = Path::new("/proc");
    let sockets: BTreeSet<u64> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(proc.join(table)).ok())
        .flat_map(|table| sockets(&table, protocol, port))
        .collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    let mut found: Vec<Process> = entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            holds(&entry.path(), &sockets).then(|| Process {
                id,
                name: name(&entry.path()),
            })
        })
        .collect();
    found.sort();
    found
}

fn holds(process: &Path, sockets: &BTreeSet<u64>) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    files.flatten().any(|file| {
        fs::read_link(file.path()).is_ok_and(|target| {
            let target = target.to_string_lossy();
            let socket = target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'));
            socket
                .and_then(|socket| socket.parse().ok())
                .is_some_and(|socket: u64| sockets.contains(&socket))
        })
    })
}

fn name(process: &Path) -> String {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).collect()
}

/// The sockets in a table of `/proc/net` that are bound to a port; of TCP those that listen.
fn sockets(table: &str, protocol: Protocol, port: u16) -> Vec<u64> {
    const LISTENS: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (_, bound) = fields.nth(1)?.rsplit_once(':')?;
            let state = fields.nth(1)?;
            let socket = fields.nth(5)?.parse().ok()?;
            let is_it = u16::from_str_radix(bound, 16) == Ok(port)
                && (protocol == Protocol::Udp || state == LISTENS);
            is_it.then_some(socket)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0A2F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   1: 0100007F:0A2F 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0
   2: 00000000:0A30 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 103 1 0
";

    #[test]
    fn a_table_of_sockets_is_read_by_port_and_state() {
        assert_eq!(sockets(TABLE, Protocol::Tcp, 2607), [101]);
        assert_eq!(sockets(TABLE, Protocol::Udp, 2608), [103]);
        assert_eq!(sockets("garbage\n\n1 2\n", Protocol::Udp, 2608), [0; 0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_process_is_found_by_the_port_it_holds() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let holders = of_port(Protocol::Tcp, port);
        assert!(holders.iter().any(|holder| holder.id == std::process::id()));
    }
}
