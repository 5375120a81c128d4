//! The table's decisions, without actors or connections.

mod edges;

use super::{
    back_off::MAX_BACK_OFFS,
    choose::{HEAD_START, UNPROVEN_PER_SECOND},
    *,
};
use mvb_protocol::{hash::BlockId, numbers::Height, target::Work};

const FINE: Conclusion = Conclusion::Fine { adopted: true };

struct Fixture {
    peers: Peers,
    now: Instant,
    ours: Tip,
}

impl Fixture {
    fn new(pinned: &[SocketAddr]) -> Self {
        let now = Instant::now();
        let config = PeersConfig {
            own: NodeId([0; 16]),
            max_fetches: 8,
            status_interval: Duration::from_secs(5),
            forget: Duration::from_secs(30),
        };
        Self {
            peers: Peers::new(config, pinned, now),
            now,
            ours: tip(0),
        }
    }

    fn hear(&mut self, endpoint: SocketAddr, claim: Tip) -> Heard {
        let [low, high] = endpoint.port().to_be_bytes();
        let mut node = [7; 16];
        node[..2].copy_from_slice(&[low, high]);
        if let IpAddr::V4(ip) = endpoint.ip() {
            node[2..6].copy_from_slice(&ip.octets());
        }
        self.peers
            .hear(endpoint, NodeId(node), claim, Timestamp(1), self.now)
    }

    fn next(&mut self) -> Option<SocketAddr> {
        let order = self.peers.next(self.ours, self.now);
        order.map(|order| order.endpoint)
    }

    fn finish(&mut self, endpoint: SocketAddr, conclusion: Conclusion, ours: Tip) {
        let ended = Ended {
            conclusion,
            tip: ours,
        };
        self.peers.finished(endpoint, ended, self.now);
    }

    fn prove(&mut self, endpoint: SocketAddr) {
        self.hear(endpoint, tip(1));
        let asked = self.peers.next_at(endpoint, self.ours, self.now);
        assert!(asked.is_some());
        self.peers.adopted(endpoint, 1, self.now);
        self.ours = tip(1);
        self.finish(endpoint, FINE, tip(1));
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn knows(&self, endpoint: SocketAddr) -> bool {
        self.peers.peers.contains_key(&endpoint)
    }
}

/// A tip of that height, work and id.
fn tip(height: u64) -> Tip {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&height.to_be_bytes());
    Tip {
        id: BlockId(bytes),
        height: Height(height),
        work: Work::from_be_bytes(bytes),
    }
}

fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

#[test]
fn sixty_four_endpoints_fit_at_one_address_and_others_find_room_beside_them() {
    let mut fixture = Fixture::new(&[]);
    for port in 2000..3000 {
        fixture.hear(at(1, port), tip(1));
    }
    assert_eq!(fixture.peers.peers.len(), MAX_PEERS_PER_ADDRESS);
    assert_eq!(fixture.hear(at(2, 2000), tip(1)), Heard::Noted);
    assert!(fixture.knows(at(2, 2000)));
}

#[test]
fn proven_and_pinned_peers_stay_when_liars_fill_the_table() {
    let (pinned, proven) = (at(1, 2000), at(1, 2001));
    let mut fixture = Fixture::new(&[pinned]);
    fixture.prove(proven);
    for step in 0..2_000u32 {
        let [_, _, high, low] = step.to_be_bytes();
        fixture.hear(at(1, 3000 + step as u16), tip(9));
        fixture.hear(SocketAddr::from(([11, 0, high, low], 3000)), tip(9));
        if step % 50 == 0 {
            fixture.pass(1);
        }
        assert!(fixture.peers.peers.len() <= MAX_PEERS);
    }
    assert!(fixture.knows(pinned) && fixture.knows(proven));
}

#[test]
fn what_a_peer_claims_in_its_hello_is_backed_off_from_as_well() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    assert_eq!(fixture.next(), Some(peer));
    let node = NodeId([5; 16]);
    fixture.peers.greeted(peer, node, tip(6), Timestamp(1));
    fixture.finish(peer, Conclusion::Failed, tip(0));
    fixture.hear(peer, tip(6));
    assert_eq!(fixture.next(), None, "it came to nothing just now");
    fixture.hear(peer, tip(7));
    assert_eq!(fixture.next(), Some(peer));
}

#[test]
fn a_claim_is_backed_off_from_at_its_endpoint_and_nowhere_else() {
    let mut fixture = Fixture::new(&[]);
    let (first, second) = (at(1, 2000), at(2, 2000));
    fixture.hear(first, tip(5));
    assert_eq!(fixture.next(), Some(first));
    fixture.finish(first, Conclusion::Failed, tip(0));
    fixture.hear(first, tip(5));
    assert_eq!(fixture.next(), None, "the same claim waits");
    fixture.hear(first, tip(6));
    assert_eq!(fixture.next(), Some(first), "another claim does not");
    fixture.finish(first, Conclusion::Failed, tip(0));
    fixture.hear(second, tip(5));
    assert_eq!(fixture.next(), Some(second), "nor does another peer");
}

#[test]
fn back_offs_double_and_end() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(fixture.next(), Some(peer));
        fixture.finish(peer, Conclusion::Failed, tip(0));
        fixture.pass(seconds - 1);
        assert_eq!(fixture.next(), None);
        fixture.pass(1);
    }
}

#[test]
fn a_claim_too_far_ahead_of_the_clock_is_asked_for_again_no_later_than_when_it_no_longer_is() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    // Sooner, at first: the clock may be set.
    for (seconds, waits) in [(86_400, 1), (86_400, 2), (3, 3), (86_400, 8), (1, 1)] {
        assert_eq!(fixture.next(), Some(peer));
        let by = Duration::from_secs(seconds);
        fixture.finish(peer, Conclusion::TooEarly { by }, tip(0));
        fixture.pass(waits - 1);
        assert_eq!(fixture.next(), None);
        fixture.pass(1);
    }
    assert_eq!(fixture.next(), Some(peer));
}

#[test]
fn a_peer_out_of_reach_or_silent_is_tried_again_within_a_status_interval() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    for step in 0..40 {
        assert_eq!(fixture.next(), Some(peer), "{step}");
        // Most attempts find no connection; some get one that falls silent at once.
        let conclusion = match step % 10 {
            9 => Conclusion::Silent,
            _ => Conclusion::Unreachable,
        };
        fixture.finish(peer, conclusion, tip(0));
        fixture.pass(4);
    }
}

#[test]
fn a_peer_that_withholds_what_it_claims_is_asked_ever_less() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    let begin = fixture.now;
    let mut asked = Vec::new();
    while fixture.now < begin + Duration::from_secs(600) {
        if fixture.next() == Some(peer) {
            asked.push(fixture.now.duration_since(begin).as_secs());
            fixture.pass(5);
            fixture.finish(peer, Conclusion::Silent, tip(0));
        }
        fixture.pass(1);
    }
    let early = asked.iter().filter(|second| **second < 60).count();
    let late = asked.iter().filter(|second| **second >= 300).count();
    assert!(early >= 6 && late <= 6, "{asked:?}");
}

#[test]
fn silence_after_blocks_were_adopted_is_no_withholding() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(50));
    for height in 1..40 {
        assert_eq!(fixture.next(), Some(peer), "{height}");
        fixture.peers.adopted(peer, 1, fixture.now);
        fixture.pass(20);
        fixture.finish(peer, Conclusion::Silent, tip(height));
        fixture.pass(4);
    }
}

#[test]
fn a_pinned_peer_behind_a_broken_link_is_asked_at_every_interval() {
    let pinned = at(1, 2000);
    let mut fixture = Fixture::new(&[pinned]);
    for _ in 0..20 {
        assert_eq!(fixture.next(), Some(pinned));
        fixture.finish(pinned, Conclusion::Unreachable, tip(0));
        fixture.pass(5);
    }
}

#[test]
fn a_pinned_peer_that_turns_this_node_away_is_asked_again_soon_and_then_less_often() {
    let pinned = at(1, 2000);
    let mut fixture = Fixture::new(&[pinned]);
    let begin = fixture.now;
    let mut asked = Vec::new();
    while fixture.now < begin + Duration::from_secs(60) {
        if fixture.next() == Some(pinned) {
            asked.push(fixture.now.duration_since(begin));
            fixture.finish(pinned, Conclusion::Unreachable, tip(0));
        }
        fixture.now += Duration::from_millis(50);
    }
    let early = asked.iter().filter(|at| at.as_secs() < 2).count();
    assert!(early >= 4, "{asked:?}");
    let last = asked.windows(2).last().map(|pair| pair[1] - pair[0]);
    assert_eq!(last, Some(Duration::from_secs(5)), "a status interval");
}

#[test]
fn the_number_of_back_offs_is_bounded() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    for height in 1..5_000 {
        fixture.hear(peer, tip(height));
        assert_eq!(fixture.next(), Some(peer));
        fixture.finish(peer, Conclusion::Failed, tip(0));
        fixture.pass(1);
    }
    assert_eq!(fixture.peers.back_offs.len(), MAX_BACK_OFFS);
}

#[test]
fn a_peer_that_misbehaved_pauses_whatever_it_claims_and_a_pause_ends() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    assert_eq!(fixture.next(), Some(peer));
    fixture.finish(peer, Conclusion::Misbehaved, tip(0));
    fixture.pass(29);
    fixture.hear(peer, tip(6));
    assert_eq!(fixture.next(), None);
    fixture.pass(1);
    assert_eq!(fixture.next(), Some(peer));
}

#[test]
fn unproven_peers_leave_slots_for_proven_ones() {
    let mut fixture = Fixture::new(&[]);
    let proven = at(9, 2000);
    fixture.prove(proven);
    for host in 1..9 {
        fixture.hear(at(host, 2000), tip(100 + u64::from(host)));
    }
    let asked: Vec<_> = std::iter::from_fn(|| fixture.next()).collect();
    assert_eq!(asked.len(), 4, "half of the slots");
    fixture.hear(proven, tip(3));
    assert_eq!(fixture.next(), Some(proven));
}

/// Four unproven peers hold all slots for such; the first two are at one address.
fn crowded() -> Fixture {
    let mut fixture = Fixture::new(&[]);
    for (host, port) in [(1, 2000), (1, 2001), (2, 2000), (3, 2000)] {
        fixture.hear(at(host, port), tip(100));
        fixture.pass(1);
        assert_eq!(fixture.next(), Some(at(host, port)));
    }
    fixture
}

fn instead(fixture: &Fixture, trickles: impl Fn(&SocketAddr) -> bool) -> Option<[SocketAddr; 2]> {
    let replacement = fixture
        .peers
        .next_instead(fixture.ours, fixture.now, trickles)?;
    Some([replacement.dropped, replacement.order.endpoint])
}

#[test]
fn an_unproven_peer_that_trickles_gives_its_slot_to_one_that_waits() {
    let mut fixture = crowded();
    assert_eq!(instead(&fixture, |_| true), None, "nobody waits");
    let honest = at(9, 2000);
    fixture.hear(honest, tip(3));
    assert_eq!(
        fixture.next(),
        None,
        "unproven peers share half of the slots"
    );
    assert_eq!(instead(&fixture, |_| false), None, "all make use of theirs");
    let slow = at(2, 2000);
    assert_eq!(
        instead(&fixture, |peer| *peer == slow),
        Some([slow, honest])
    );
    let crowd = at(1, 2000);
    assert_eq!(instead(&fixture, |_| true), Some([crowd, honest]));
    let (ours, now) = (fixture.ours, fixture.now);
    let replacement = fixture.peers.next_instead(ours, now, |_| true).unwrap();
    let order = fixture.peers.replaced(replacement, ours, now);
    assert_eq!(order.map(|order| order.endpoint), Some(honest));
    fixture.peers.adopted(honest, 1, fixture.now);
    fixture.pass(60);
    assert_eq!(fixture.next(), Some(crowd), "it is asked again in its turn");
}

#[test]
fn no_address_gains_slots_at_the_cost_of_one_that_holds_no_more() {
    let mut fixture = crowded();
    fixture.hear(at(1, 3000), tip(50));
    let of_one = |peer: &SocketAddr| peer.ip() != at(1, 0).ip();
    assert_eq!(instead(&fixture, of_one), None);
    let own = instead(&fixture, |_| true);
    assert_eq!(own, Some([at(1, 2000), at(1, 3000)]), "its own it may");
}

#[test]
fn a_free_slot_goes_to_the_address_that_holds_the_fewest() {
    let mut fixture = crowded();
    fixture.finish(at(2, 2000), Conclusion::Unreachable, tip(0));
    fixture.hear(at(1, 1999), tip(50));
    fixture.hear(at(9, 2000), tip(3));
    assert_eq!(instead(&fixture, |_| true), None, "in nobody's place");
    assert_eq!(fixture.next(), Some(at(9, 2000)));
}

#[test]
fn forged_statuses_cannot_make_this_node_connect_without_end() {
    let mut fixture = Fixture::new(&[]);
    let mut starts = 0;
    for step in 0..1_000u64 {
        let peer = at(1, 2000 + (step % 60) as u16);
        fixture.hear(peer, tip(1 + step));
        while let Some(asked) = fixture.next() {
            starts += 1;
            fixture.finish(asked, Conclusion::Unreachable, tip(0));
        }
    }
    assert_eq!(starts, UNPROVEN_PER_SECOND);
}

#[test]
fn a_second_peer_is_asked_for_the_same_tip_only_after_the_head_start() {
    let mut fixture = Fixture::new(&[]);
    let (first, second) = (at(1, 2000), at(2, 2000));
    fixture.hear(first, tip(5));
    fixture.hear(second, tip(5));
    assert_eq!(fixture.next(), Some(first));
    assert_eq!(fixture.next(), None);
    fixture.now += HEAD_START;
    assert_eq!(fixture.next(), Some(second));
}

#[test]
fn a_fetch_that_adopts_blocks_covers_what_others_claim_nearby() {
    let mut fixture = Fixture::new(&[]);
    let (first, second) = (at(1, 2000), at(2, 2000));
    fixture.hear(first, tip(500));
    assert_eq!(fixture.next(), Some(first));
    fixture.pass(1);
    fixture.peers.adopted(first, 128, fixture.now);
    fixture.hear(second, tip(501));
    assert_eq!(fixture.next(), None);
    fixture.pass(1);
    fixture.peers.adopted(first, 1, fixture.now);
    fixture.pass(1);
    assert_eq!(fixture.next(), Some(second), "a trickle covers nothing");
}

#[test]
fn a_long_fetch_is_shared_with_some_others_and_a_short_rest_is_not() {
    let mut fixture = Fixture::new(&[]);
    for host in 1..=6 {
        fixture.hear(at(host, 2000), tip(5_000));
    }
    assert_eq!(fixture.next(), Some(at(1, 2000)));
    assert_eq!(fixture.next(), None, "nothing is proven yet");
    let peers = &mut fixture.peers;
    peers.downloading(at(1, 2000), Height(5_000));
    peers.adopted(at(1, 2000), 128, fixture.now);
    let asked: Vec<_> = std::iter::from_fn(|| fixture.next()).collect();
    assert_eq!(asked, [2, 3, 4].map(|host| at(host, 2000)));
    for host in 2..=4 {
        fixture.finish(at(host, 2000), Conclusion::Unreachable, tip(4_900));
    }
    fixture.ours = tip(4_900);
    assert_eq!(fixture.next(), None);
}

#[test]
fn one_node_at_two_addresses_is_asked_at_one() {
    let mut fixture = Fixture::new(&[]);
    let node = NodeId([5; 16]);
    for (host, height) in [(1, 5), (2, 6)] {
        fixture
            .peers
            .hear(at(host, 2000), node, tip(height), Timestamp(1), fixture.now);
    }
    assert_eq!(fixture.next(), Some(at(1, 2000)));
    assert_eq!(fixture.next(), None);
}

#[test]
fn a_status_heard_during_a_session_is_not_lost_to_its_older_hello() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    assert_eq!(fixture.next(), Some(peer));
    fixture.hear(peer, tip(6));
    fixture
        .peers
        .greeted(peer, NodeId([5; 16]), tip(5), Timestamp(1));
    fixture.finish(peer, FINE, tip(5));
    assert_eq!(
        fixture
            .peers
            .next(tip(5), fixture.now)
            .map(|order| order.claim),
        Some(Some(tip(6)))
    );
}

#[test]
fn a_silent_peer_is_forgotten_and_a_pinned_one_is_not() {
    let (pinned, other) = (at(1, 2000), at(2, 2000));
    let mut fixture = Fixture::new(&[pinned]);
    fixture.hear(other, tip(1));
    fixture.pass(31);
    fixture.peers.forget(fixture.now);
    assert!(fixture.knows(pinned) && !fixture.knows(other));
}
