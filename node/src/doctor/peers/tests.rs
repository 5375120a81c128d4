//! What is told of peers and clocks.

use super::*;
use crate::doctor::Level;
use mvb_protocol::{target::Target, wire::Endpoint};

fn params() -> ChainParams {
    ChainParams::default()
}

fn source() -> SocketAddr {
    "10.0.0.7:40000".parse().unwrap()
}

fn status(params: &ChainParams, tip: u8) -> Vec<u8> {
    Status {
        announcement: Announcement {
            params: params.clone(),
            tip: Tip {
                id: BlockId([tip; 32]),
                height: Height(u64::from(tip)),
                work: Target::from_difficulty(9).work(),
            },
        },
        endpoint: Endpoint {
            node: NodeId([1; 16]),
            port: 2607,
        },
    }
    .to_datagram()
}

fn heard(datagrams: &[Vec<u8>]) -> Heard {
    let mut heard = Heard {
        listened: Duration::from_secs(6),
        ..Heard::default()
    };
    for bytes in datagrams {
        heard.note(bytes, source(), &params(), None);
    }
    heard
}

fn stranger() -> Vec<u8> {
    let other = ChainParams {
        difficulty: 20,
        ..params()
    };
    status(&other, 1)
}

#[test]
fn a_miner_of_this_network_is_good_news() {
    let findings = judge(&params(), &heard(&[status(&params(), 9)]));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].level, Level::Good);
    assert!(findings[0].found.contains("1 miner of this network"));
    assert!(findings[0].found.ends_with("at height 9"));
}

#[test]
fn nobody_heard_is_noted_and_garbage_is_nobody() {
    for heard in [heard(&[]), heard(&[b"garbage".to_vec()])] {
        let findings = judge(&params(), &heard);
        assert_eq!(findings[0].level, Level::Note);
        assert!(findings[0].found.contains("no miner heard in 6 s"));
    }
}

#[test]
fn a_peer_of_another_network_is_a_problem_unless_there_are_ones_own() {
    let alone = judge(&params(), &heard(&[stranger()]));
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].level, Level::Problem);
    assert_eq!(
        alone[0].found,
        "peer 10.0.0.7 runs difficulty 20, this network 26"
    );
    let beside = judge(&params(), &heard(&[stranger(), status(&params(), 9)]));
    let levels: Vec<Level> = beside.iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::Good, Level::Note]);
}

#[test]
fn another_version_of_the_wire_format_is_told() {
    let mut later = status(&params(), 1);
    later[4] = 9;
    let findings = judge(&params(), &heard(&[later]));
    assert_eq!(findings[0].level, Level::Problem);
    assert!(findings[0].found.contains("speaks wire version 9"));
}

#[test]
fn a_configured_peer_that_does_not_answer_is_a_problem() {
    let mut heard = heard(&[]);
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    heard.pinned = vec![(source(), Some(AskError::Connect(refused)))];
    let findings = judge(&params(), &heard);
    let last = findings.last().unwrap();
    assert_eq!(last.level, Level::Problem);
    assert!(last.found.contains("10.0.0.7:40000: no connection"));
    heard.pinned = vec![(source(), None)];
    assert_eq!(judge(&params(), &heard)[0].level, Level::Good);
}

#[test]
fn what_strangers_say_is_kept_within_bounds() {
    let mut heard = heard(&[]);
    for number in 0..1_000_u16 {
        let source = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 9));
        heard.note(&stranger(), source, &params(), None);
        heard.note(&status(&params(), 1), source, &params(), None);
    }
    assert_eq!(heard.strangers.len() + heard.ours.len(), MOST_HEARD);
}

#[test]
fn a_clock_is_judged_by_blocks_ahead_of_it_and_by_new_ones_far_behind() {
    let now = Timestamp(10_000_000);
    let stamp = |timestamp, is_new| Stamp {
        by: "10.0.0.7:2607".into(),
        height: Height(12),
        timestamp: Timestamp(timestamp),
        is_new,
    };
    for (stamps, level, says) in [
        (vec![], Level::Good, "no block to compare"),
        (vec![stamp(9_000_000, false)], Level::Good, "16 min ago"),
        (vec![stamp(9_990_000, true)], Level::Good, "10 s ago"),
        (vec![stamp(10_009_000, true)], Level::Good, "agrees"),
        (
            vec![stamp(9_000_000, false), stamp(13_600_000, false)],
            Level::Problem,
            "stamped 60 min after this machine's now",
        ),
        (
            vec![stamp(9_000_000, true)],
            Level::Problem,
            "found just now and is stamped 16 min before",
        ),
    ] {
        let finding = judge_clock(now, &stamps);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.found.contains(says), "{finding:?}");
    }
}

#[test]
fn a_tip_that_moves_while_listening_is_new() {
    let moved = heard(&[status(&params(), 1), status(&params(), 2)]);
    assert!(moved.ours.values().all(|member| member.is_new));
    let still = heard(&[status(&params(), 1), status(&params(), 1)]);
    assert!(still.ours.values().all(|member| !member.is_new));
}
