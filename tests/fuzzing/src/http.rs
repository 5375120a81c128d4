//! What the explorer reads of a request: the Host, the path, the query and its cursors, and the
//! payment that is handed in.

use crate::{Seed, Target, Verdict, accepted, beyond};
use mvb_explorer::{
    api::{signed_transaction, types::Signed},
    ask::{self, BlockRef, MAX_LIMIT, Query},
    guard,
    problem::Problem,
};
use std::net::{IpAddr, SocketAddr};

/// Lines of an input: Host, path, query; the rest is the body.
pub(crate) const HTTP: Target = Target {
    name: "http",
    run: http,
    seeds,
    tokens: &[
        b"localhost",
        b"127.0.0.1:8600",
        b"[::1]",
        b"%3C",
        b"%",
        b"+",
        b"&limit=",
        b"&before=",
        b"&cursor=",
        b"18446744073709551615",
        b"-4294967295",
        b"\"sequence\":",
        b"\xd9\xa3",
    ],
    few: 3_000,
};

const KNOWN: [&str; 4] = ["limit", "before", "cursor", "q"];

fn http(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (host, name, query, body) = (line(), line(), line(), line());
    let verdicts = [
        read_host(host),
        read_name(name),
        read_query(query),
        read_body(body),
    ];
    match verdicts.contains(&Verdict::Accepted) {
        true => Verdict::Accepted,
        false => Verdict::Refused,
    }
}

/// Only addresses and `localhost` are answered, by a second reading of the same.
fn read_host(host: &str) -> Verdict {
    if !guard::is_own(host) {
        return Verdict::Refused;
    }
    let is_name = |name: &str| name.eq_ignore_ascii_case("localhost");
    let is_bare = host.parse::<IpAddr>().is_ok() || is_name(host);
    let in_brackets = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let with_port = host.parse::<SocketAddr>().is_ok()
        || host
            .rsplit_once(':')
            .is_some_and(|(name, port)| is_name(name) && port.parse::<u16>().is_ok());
    // A port with zeros in front is one all the same.
    let zeros = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.len() > 5 && port.starts_with('0'));
    assert!(is_bare || in_brackets || with_port || zeros, "{host:?}");
    Verdict::Accepted
}

fn read_name(name: &str) -> Verdict {
    let decoded = match ask::decoded(name) {
        Ok(decoded) => decoded,
        Err(problem) => return told(&problem),
    };
    let address = ask::address(&decoded);
    if let Ok(address) = &address {
        assert_eq!(ask::address(&address.to_string()).as_ref(), Ok(address));
    }
    let readings = [
        BlockRef::parse(&decoded).map(drop),
        ask::transaction_id(&decoded).map(drop),
        address.map(drop),
    ];
    let mut verdict = Verdict::Refused;
    for reading in readings {
        match reading {
            Ok(()) => verdict = Verdict::Accepted,
            Err(problem) => drop(told(&problem)),
        }
    }
    verdict
}

fn read_query(text: &str) -> Verdict {
    let query = match Query::parse(text, &KNOWN) {
        Ok(query) => query,
        Err(problem) => return told(&problem),
    };
    match query.limit(20) {
        Ok(limit) => assert!((1..=MAX_LIMIT).contains(&limit)),
        Err(problem) => return told(&problem),
    }
    if let Err(problem) = query.height("before") {
        return told(&problem);
    }
    if let Err(problem) = query.waiting("cursor") {
        told(&problem);
    }
    match query.location("cursor") {
        Ok(Some(location)) => {
            let cursor = ask::location_cursor(location);
            let again = Query::parse(&format!("cursor={cursor}"), &KNOWN);
            let again = again.and_then(|query| query.location("cursor"));
            assert_eq!(again, Ok(Some(location)));
            Verdict::Accepted
        }
        Ok(None) => Verdict::Refused,
        Err(problem) => told(&problem),
    }
}

/// A payment that is read is written again as it was read.
fn read_body(body: &str) -> Verdict {
    let Ok(signed) = serde_json::from_str::<Signed>(body) else {
        return Verdict::Refused;
    };
    match signed_transaction(&signed) {
        Ok(transaction) => {
            let again = signed_transaction(&Signed::from(&transaction));
            assert_eq!(again, Ok(transaction));
            Verdict::Accepted
        }
        Err(problem) => told(&problem),
    }
}

/// What is refused is refused in one line of words, with a status that blames who asked.
fn told(problem: &Problem) -> Verdict {
    assert!(problem.status.is_client_error());
    assert!(
        problem.message.chars().count() < 2_000,
        "{}",
        problem.message
    );
    crate::refused(&problem.message)
}

fn seeds() -> Vec<Seed> {
    let id = "0a".repeat(32);
    let key = format!(
        "02{}",
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    );
    let signed = format!(
        r#"{{"genesis":"{id}","to":"{id}","amount":"1.5","fee":"0","sequence":7,"timestamp":1,"key":"{key}","signature":"{}"}}"#,
        "01".repeat(64)
    );
    vec![
        accepted("localhost:8600\n\n\n"),
        accepted("[::1]:1\n\n\n"),
        accepted("\n12\n\n"),
        accepted(format!("\n{id}\n\n")),
        accepted("\n\nlimit=100&cursor=18446744073709551615-4294967295\n"),
        accepted(format!("\n\n\n{signed}")),
        beyond("evil.example\n\n\n"),
        beyond("127.0.0.1:65536\n\n\n"),
        beyond("\n18446744073709551616\n\n"),
        beyond("\n%zz\n\n"),
        beyond("\n\nlimit=101&cursor=1-1\n"),
        beyond("\n\ncursor=18446744073709551616-1\n"),
        beyond("\n\nlimit=1&limit=1\n"),
        beyond(format!("\n\n\n{}", signed.replace("1.5", "1.5000001"))),
    ]
}
