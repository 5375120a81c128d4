//! The table's decisions, without sessions.

use super::*;
use crate::testing::{TestChain, easy_params};

struct Fixture {
    bodies: Bodies,
    chain: TestChain,
    now: Instant,
}

impl Fixture {
    fn new(blocks: usize) -> Self {
        let now = Instant::now();
        Self {
            bodies: Bodies::new(now),
            chain: TestChain::new(&easy_params()).and(blocks, 1),
            now,
        }
    }

    fn giver(&mut self, port: u16) -> Rc<Giver> {
        self.bodies.giver(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn wanted(&self) -> Vec<(Height, BlockId)> {
        let blocks = self.chain.blocks.iter();
        blocks.map(|b| (b.header.height, b.id())).collect()
    }

    /// The heights a giver takes.
    fn take(&mut self, giver: &Giver, most: usize) -> Vec<u64> {
        let wanted = self.wanted();
        let taken = self.bodies.take(giver, &wanted, most, self.now);
        taken.iter().map(|(height, _)| height.0).collect()
    }

    fn put(&mut self, giver: &Rc<Giver>, height: usize) {
        let block = self.chain.blocks[height - 1].clone();
        let (giver, id) = (giver.clone(), block.id());
        let height = block.header.height;
        let block = block.into();
        self.bodies.put(height, id, Body { block, giver });
    }

    fn run(&self) -> usize {
        self.bodies.run(self.wanted().into_iter(), usize::MAX).len()
    }
}

#[tokio::test(start_paused = true)]
async fn each_body_is_asked_of_one_peer_and_the_lowest_first() {
    let mut fixture = Fixture::new(6);
    let (one, two) = (fixture.giver(1), fixture.giver(2));
    assert_eq!(fixture.take(&one, 2), [1, 2]);
    assert_eq!(fixture.take(&two, 2), [3, 4]);
    fixture.put(&two, 3);
    assert_eq!(fixture.run(), 0, "the first is missing");
    fixture.put(&one, 1);
    fixture.put(&one, 2);
    assert_eq!(fixture.run(), 3);
    fixture.bodies.release(&one);
    assert_eq!(fixture.take(&one, 9), [5, 6]);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_is_late_with_is_taken_over_when_nothing_else_is_left() {
    let mut fixture = Fixture::new(4);
    let (late, other) = (fixture.giver(1), fixture.giver(2));
    assert_eq!(fixture.take(&late, 2), [1, 2]);
    fixture.now += PATIENCE;
    assert_eq!(fixture.take(&other, 9), [3, 4], "what is free comes first");
    assert_eq!(fixture.take(&other, 9), [1, 2]);
    assert!(fixture.take(&late, 9).is_empty(), "it has been asked");
    fixture.put(&other, 1);
    fixture.put(&late, 1);
    assert_eq!(fixture.run(), 1, "the second copy is dropped");
}

/// Or a liar could take over what a peer that stalls has kept, and keep it in its turn.
#[tokio::test(start_paused = true)]
async fn what_was_taken_over_in_vain_is_asked_of_the_next_at_once() {
    let mut fixture = Fixture::new(2);
    let (late, liar) = (fixture.giver(1), fixture.giver(2));
    let honest = fixture.giver(3);
    assert_eq!(fixture.take(&late, 2), [1, 2]);
    fixture.now += PATIENCE;
    assert_eq!(fixture.take(&liar, 9), [1, 2]);
    assert_eq!(fixture.take(&honest, 9), [1, 2]);
    assert!(fixture.take(&liar, 9).is_empty(), "it has been asked");
    fixture.bodies.release(&late);
    fixture.bodies.release(&honest);
    assert!(fixture.take(&liar, 9).is_empty(), "it still fetches them");
    assert_eq!(fixture.take(&honest, 1), [1], "they are late, not free");
    fixture.bodies.release(&liar);
    assert_eq!(fixture.take(&late, 9), [2], "nobody fetches it any more");
}

#[tokio::test(start_paused = true)]
async fn what_the_chain_waits_for_is_taken_over_soon_by_whoever_delivers() {
    let mut fixture = Fixture::new(LOWEST + 9);
    let (late, new) = (fixture.giver(1), fixture.giver(2));
    let proven = fixture.giver(3);
    assert_eq!(fixture.take(&late, LOWEST + 2).len(), LOWEST + 2);
    let first_free = LOWEST + 3;
    assert_eq!(fixture.take(&proven, 1), [first_free as u64]);
    fixture.put(&proven, first_free);
    fixture.now += HURRY - Duration::from_millis(1);
    assert_eq!(fixture.take(&proven, 1), [first_free as u64 + 1]);
    fixture.now += Duration::from_millis(1);
    assert_eq!(
        fixture.take(&new, 1),
        [first_free as u64 + 2],
        "who has shown nothing"
    );
    assert_eq!(fixture.take(&proven, 2), [1, 2]);
    let rest: Vec<u64> = (3..=LOWEST as u64).collect();
    assert_eq!(fixture.take(&proven, 99), rest, "no more than the lowest");
    assert_eq!(fixture.take(&proven, 1), [first_free as u64 + 3]);
}

#[tokio::test(start_paused = true)]
async fn what_a_session_leaves_undone_is_free_again() {
    let mut fixture = Fixture::new(4);
    let (one, two) = (fixture.giver(1), fixture.giver(2));
    assert_eq!(fixture.take(&one, 4), [1, 2, 3, 4]);
    fixture.put(&one, 2);
    fixture.bodies.release(&one);
    assert_eq!(fixture.take(&two, 4), [1, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_the_highest_make_way_for_the_lowest() {
    let mut fixture = Fixture::new(5);
    let giver = fixture.giver(1);
    let each = memory_of(&fixture.chain.blocks[0]);
    // As if others filled all but the room of two.
    fixture.bodies.bytes = MOST_BYTES - 2 * each;
    fixture.put(&giver, 4);
    fixture.put(&giver, 3);
    fixture.put(&giver, 5);
    assert_eq!(fixture.bodies.held.len(), 2, "the fifth finds no room");
    assert_eq!(fixture.take(&giver, 9), [1, 2], "nor is it asked for");
    fixture.put(&giver, 1);
    fixture.put(&giver, 2);
    assert_eq!(fixture.run(), 2);
    assert!(fixture.bodies.bytes <= MOST_BYTES);
    fixture.bodies.reached(Height(2));
    assert_eq!(fixture.bodies.held.len(), 0);
    assert_eq!(fixture.bodies.bytes, MOST_BYTES - 2 * each);
}

#[tokio::test(start_paused = true)]
async fn what_the_chain_has_reached_is_let_go_and_not_kept_when_it_comes_late() {
    let mut fixture = Fixture::new(4);
    let giver = fixture.giver(1);
    fixture.put(&giver, 1);
    fixture.put(&giver, 3);
    fixture.bodies.reached(Height(2));
    fixture.put(&giver, 2);
    assert_eq!(fixture.bodies.held.len(), 1, "the third");
    assert_eq!(
        fixture.bodies.bytes,
        memory_of(&fixture.chain.blocks[2]),
        "and no more counts"
    );
    // A reorg may lead to fewer blocks, of more work.
    fixture.bodies.reached(Height(1));
    fixture.put(&giver, 2);
    assert_eq!(fixture.bodies.held.len(), 2);
}

/// Or whoever finds a few blocks at the height of the next one could keep it away for ever.
#[tokio::test(start_paused = true)]
async fn other_blocks_of_its_height_are_not_in_the_way_of_the_next_one() {
    let mut fixture = Fixture::new(0);
    let giver = fixture.giver(1);
    let base = fixture.chain.clone();
    let mut chains: Vec<_> = (1..5).map(|to| base.clone().and(1, to)).collect();
    chains.sort_by_key(|chain| chain.id(1));
    let next = chains.pop().unwrap();
    for beside in chains {
        fixture.chain = beside;
        fixture.put(&giver, 1);
    }
    fixture.chain = next;
    fixture.bodies.bytes = MOST_BYTES;
    assert_eq!(fixture.take(&giver, 9), [1]);
    fixture.put(&giver, 1);
    assert_eq!(fixture.run(), 1);
    assert!(fixture.bodies.bytes <= MOST_BYTES);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_nobody_wants_are_forgotten() {
    let mut fixture = Fixture::new(2);
    let giver = fixture.giver(1);
    fixture.take(&giver, 1);
    fixture.put(&giver, 1);
    fixture.bodies.forget(fixture.now + KEEP);
    assert_eq!(fixture.run(), 1);
    fixture.bodies.forget(fixture.now + 2 * KEEP);
    assert_eq!(fixture.run(), 0);
}

#[tokio::test(start_paused = true)]
async fn once_memory_is_half_full_nothing_beyond_what_is_here_is_asked_for() {
    let mut fixture = Fixture::new(3);
    let giver = fixture.giver(1);
    fixture.bodies.bytes = ENOUGH_BYTES;
    assert!(fixture.take(&giver, 9).is_empty());
    fixture.bodies.bytes -= 1;
    assert_eq!(fixture.take(&giver, 9), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_with_the_body_that_fills_it() {
    let mut fixture = Fixture::new(4);
    let giver = fixture.giver(1);
    for height in 1..=4 {
        fixture.put(&giver, height);
    }
    let each = fixture.chain.blocks[0].size();
    for (bytes, count) in [(0, 0), (1, 1), (2 * each, 2), (2 * each + 1, 3)] {
        let run = fixture.bodies.run(fixture.wanted().into_iter(), bytes);
        assert_eq!(run.len(), count, "{bytes} bytes");
    }
}

#[test]
fn a_body_counts_as_what_it_takes_decoded() {
    let chain = TestChain::new(&easy_params()).and(1, 1);
    let block = &chain.blocks[0];
    assert_eq!(memory_of(block), 2 * block.size() + 512);
}
