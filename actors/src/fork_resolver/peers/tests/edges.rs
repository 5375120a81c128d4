//! Where the table's limits lie exactly: the last step within each, and the first beyond.

use super::*;

/// The least time that a test tells apart.
const TICK: Duration = Duration::from_millis(1);

#[test]
fn so_many_are_dropped_for_others_in_a_second_and_no_more() {
    let mut fixture = Fixture::new(&[]);
    for port in (2000..).take(MAX_PEERS_PER_ADDRESS) {
        fixture.hear(at(1, port), tip(1));
    }
    for port in (3000..).take(EVICTIONS_PER_SECOND as usize) {
        assert_eq!(fixture.hear(at(1, port), tip(1)), Heard::Noted);
    }
    assert_eq!(fixture.hear(at(1, 4000), tip(1)), Heard::NoRoom);
    fixture.pass(1);
    assert_eq!(fixture.hear(at(1, 4000), tip(1)), Heard::Noted);
}

#[test]
fn at_a_crowded_address_the_one_heard_longest_ago_makes_room_unless_it_is_being_asked() {
    let mut fixture = Fixture::new(&[]);
    let elsewhere = at(9, 2000);
    fixture.hear(elsewhere, tip(1));
    for port in (2000..).take(MAX_PEERS_PER_ADDRESS) {
        fixture.pass(1);
        fixture.hear(at(1, port), tip(1));
    }
    assert_eq!(fixture.next(), Some(at(1, 2000)));
    fixture.hear(at(1, 3000), tip(1));
    assert!(fixture.knows(at(1, 2000)) && fixture.knows(elsewhere));
    assert!(fixture.knows(at(1, 3000)) && !fixture.knows(at(1, 2001)));
}

#[test]
fn a_peer_that_is_asked_or_paused_is_not_forgotten_however_long_it_is_silent() {
    let mut fixture = Fixture::new(&[]);
    let (asked, paused, other) = (at(1, 2000), at(2, 2000), at(3, 2000));
    fixture.hear(asked, tip(5));
    assert_eq!(fixture.next(), Some(asked));
    fixture.hear(paused, tip(6));
    assert_eq!(fixture.next(), Some(paused));
    fixture.finish(paused, Conclusion::Misbehaved, tip(0));
    fixture.pass(30);
    assert_eq!(fixture.next(), Some(paused));
    // The second pause takes a minute, longer than a silent peer is remembered.
    fixture.finish(paused, Conclusion::Misbehaved, tip(0));
    fixture.pass(30);
    fixture.hear(other, tip(0));
    fixture.pass(30);
    fixture.now -= TICK;
    fixture.peers.forget(fixture.now);
    assert!(fixture.knows(paused) && fixture.knows(other));
    fixture.now += TICK;
    fixture.peers.forget(fixture.now);
    assert!(!fixture.knows(paused) && !fixture.knows(other));
    assert!(fixture.knows(asked));
}

#[test]
fn a_session_that_brought_nothing_leaves_its_peer_alone_for_a_moment() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    fixture.hear(peer, tip(5));
    assert_eq!(fixture.next(), Some(peer));
    fixture.ours = tip(5);
    fixture.finish(peer, Conclusion::Fine { adopted: false }, tip(5));
    fixture.hear(peer, tip(6));
    fixture.now += QUIET - TICK;
    assert_eq!(fixture.next(), None);
    fixture.now += TICK;
    assert_eq!(fixture.next(), Some(peer));
}

#[test]
fn a_pinned_peer_is_polled_every_interval_and_less_often_the_more_it_fails() {
    let pinned = at(1, 2000);
    let mut fixture = Fixture::new(&[pinned]);
    let nothing = Conclusion::Fine { adopted: false };
    let failed = Conclusion::Failed;
    for (conclusion, intervals) in [
        (FINE, 1),
        (nothing, 1),
        (failed, 2),
        (failed, 3),
        (failed, 4),
        (failed, 5),
        (failed, 6),
        (failed, 6),
        (FINE, 1),
    ] {
        assert_eq!(fixture.next(), Some(pinned));
        fixture.finish(pinned, conclusion, tip(0));
        fixture.pass(5 * intervals);
        fixture.now -= TICK;
        assert_eq!(fixture.next(), None, "{conclusion:?}");
        fixture.now += TICK;
    }
}

#[test]
fn a_back_off_is_remembered_for_a_minute_after_its_end_or_until_its_claim_is_settled() {
    let mut fixture = Fixture::new(&[]);
    let peer = at(1, 2000);
    let remembered = |fixture: &mut Fixture| {
        fixture.peers.forget(fixture.now);
        fixture.peers.back_offs.len()
    };
    fixture.hear(peer, tip(5));
    assert_eq!(fixture.next(), Some(peer));
    fixture.finish(peer, Conclusion::Failed, tip(0));
    fixture.pass(61);
    fixture.now -= TICK;
    assert_eq!(remembered(&mut fixture), 1);
    fixture.now += TICK;
    assert_eq!(remembered(&mut fixture), 0);
    fixture.hear(peer, tip(5));
    assert_eq!(fixture.next(), Some(peer));
    fixture.finish(peer, Conclusion::Failed, tip(0));
    fixture.pass(1);
    assert_eq!(fixture.next(), Some(peer));
    fixture.finish(peer, FINE, tip(5));
    assert_eq!(remembered(&mut fixture), 0);
}

#[test]
fn there_are_never_more_fetches_than_allowed() {
    let pinned: Vec<_> = (1..=9).map(|host| at(host, 2000)).collect();
    let mut fixture = Fixture::new(&pinned);
    let asked: Vec<_> = std::iter::from_fn(|| fixture.next()).collect();
    assert_eq!(asked, pinned[..8]);
    fixture.finish(pinned[0], FINE, tip(0));
    assert_eq!(fixture.next(), Some(pinned[8]));
}

#[test]
fn a_proven_peer_is_asked_before_those_that_nobody_has_proven() {
    let mut fixture = Fixture::new(&[]);
    let proven = at(9, 2000);
    fixture.prove(proven);
    fixture.hear(at(1, 2000), tip(3));
    fixture.hear(proven, tip(3));
    assert_eq!(fixture.next(), Some(proven));
}

#[test]
fn a_fetch_that_has_adopted_nothing_covers_no_other_tip_nearby() {
    let mut fixture = Fixture::new(&[]);
    let (first, second) = (at(1, 2000), at(2, 2000));
    fixture.hear(first, tip(5));
    assert_eq!(fixture.next(), Some(first));
    fixture.hear(second, tip(6));
    assert_eq!(fixture.next(), Some(second));
}

/// Thirty-two starts of unproven peers in one second, the last four of which go on.
fn started() -> Fixture {
    let mut fixture = Fixture::new(&[]);
    let starts = UNPROVEN_PER_SECOND as u16;
    for start in 0..starts {
        let peer = at(1, 2000 + start);
        fixture.hear(peer, tip(100 + u64::from(start)));
        assert_eq!(fixture.next(), Some(peer));
        if start < starts - 4 {
            fixture.finish(peer, Conclusion::Unreachable, tip(0));
        }
    }
    fixture
}

#[test]
fn replacements_count_among_the_starts_of_a_second() {
    let mut fixture = started();
    let honest = at(9, 2000);
    fixture.hear(honest, tip(3));
    assert_eq!(instead(&fixture, |_| true), None);
    fixture.now += Duration::from_secs(1) - TICK;
    assert_eq!(instead(&fixture, |_| true), None);
    fixture.now += TICK;
    let dropped = at(1, 2000 + UNPROVEN_PER_SECOND as u16 - 1);
    assert_eq!(instead(&fixture, |_| true), Some([dropped, honest]));
}

#[test]
fn no_address_gains_a_slot_at_the_cost_of_one_that_holds_as_many() {
    let mut fixture = crowded();
    let (poor, same) = (at(2, 2000), at(3, 3000));
    fixture.hear(same, tip(50));
    assert_eq!(instead(&fixture, |peer| *peer == poor), None);
    let own = at(3, 2000);
    let replaced = instead(&fixture, |peer| *peer == own);
    assert_eq!(replaced, Some([own, same]));
}

#[test]
fn a_trusted_peers_silent_session_is_renewed_once_and_an_unproven_peers_never() {
    let mut fixture = Fixture::new(&[]);
    let (proven, other) = (at(1, 2000), at(2, 2000));
    fixture.prove(proven);
    for peer in [proven, other] {
        fixture.hear(peer, tip(5));
        assert_eq!(fixture.next(), Some(peer));
        fixture.now += HEAD_START;
    }
    let mut renew = |peer| {
        let order = fixture.peers.renew(peer, fixture.ours, fixture.now);
        order.map(|order| order.endpoint)
    };
    assert_eq!(renew(other), None);
    assert_eq!(renew(proven), Some(proven));
    assert_eq!(renew(proven), None);
}
