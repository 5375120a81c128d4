//! Long downloads, which several peers share: what they gain, and what a bad one costs.

use super::*;

/// So long is each block on its way from an honest peer.
const BLOCK_TIME: Duration = Duration::from_millis(25);

/// Enough that peers share them, and a quarter of a minute's work for one.
const BLOCKS: usize = 600;

/// How long a download from these peers takes.
async fn time_to_sync(theirs: &TestChain, behaviours: &[Behaviour]) -> (Duration, Fixture) {
    let fixture = Fixture::new(&chain(0, 1));
    let began = Instant::now();
    for (port, behaviour) in (4000..).zip(behaviours) {
        let peer = fixture.wrong_peer(port, theirs, *behaviour);
        peer.block_time.set(BLOCK_TIME);
        fixture.hear(&peer);
    }
    fixture.until_tip(theirs).await;
    (began.elapsed(), fixture)
}

#[tokio::test(start_paused = true)]
async fn beside_a_good_peer_one_that_stalls_one_that_trickles_and_one_that_lies_cost_little() {
    local(async {
        let theirs = chain(BLOCKS, 1);
        let (alone, _) = time_to_sync(&theirs, &[Behaviour::Honest]).await;
        let bad = [
            Behaviour::WithholdsBodies,
            Behaviour::Trickles,
            Behaviour::WrongBodies,
        ];
        // The good one may be the first that is asked, or any later one.
        for at in 0..=bad.len() {
            let mut behaviours = bad.to_vec();
            behaviours.insert(at, Behaviour::Honest);
            let (beside, fixture) = time_to_sync(&theirs, &behaviours).await;
            assert!(
                beside <= alone.mul_f64(1.3),
                "{beside:?} with the good one at {at}, {alone:?} alone"
            );
            assert!(fixture.failed_sessions() >= 1, "the liar was found out");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn four_good_peers_are_faster_than_one_and_each_body_comes_once() {
    local(async {
        let theirs = chain(BLOCKS, 1);
        let (alone, _) = time_to_sync(&theirs, &[Behaviour::Honest]).await;
        let (together, fixture) = time_to_sync(&theirs, &[Behaviour::Honest; 4]).await;
        assert!(together < alone / 2, "{together:?}, {alone:?} alone");
        assert_eq!(fixture.failed_sessions(), 0);
        let view = fixture.world.env.view.peers.borrow().clone();
        assert!(view.peers.iter().all(|peer| peer.proven), "all delivered");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_download_that_a_broken_link_ended_goes_on_where_it_was() {
    local(async {
        let theirs = chain(BLOCKS, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.wrong_peer(4000, &theirs, Behaviour::Honest);
        peer.block_time.set(BLOCK_TIME);
        fixture.hear(&peer);
        until("half is there", || {
            fixture.world.tip().height.0 >= BLOCKS as u64 / 2
        })
        .await;
        peer.behaviour.set(Behaviour::HangsUp);
        until("it broke", || {
            fixture.world.net.connected(peer.address) >= 2
        })
        .await;
        peer.behaviour.set(Behaviour::Honest);
        let asked_before = peer.asked_blocks();
        fixture.until_tip(&theirs).await;
        let asked = peer.asked_blocks() - asked_before;
        assert!(asked <= BLOCKS / 2 + 128, "{asked} blocks more");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_block_found_here_in_the_middle_of_a_shared_download_costs_no_peer_anything() {
    local(async {
        let theirs = chain(BLOCKS, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let found = chain(1, 9);
        for port in 4000..4003 {
            let peer = fixture.peer(port, &theirs);
            peer.block_time.set(BLOCK_TIME);
            let (manager, block) = (fixture.manager.clone(), found.blocks[0].clone());
            let next = Cell::new(Some(block));
            *peer.on_blocks.borrow_mut() = Some(Box::new(move || {
                if let Some(block) = next.take() {
                    manager.do_send(SubmitBlock {
                        block: block.into(),
                    });
                }
            }));
            fixture.hear(&peer);
        }
        fixture.until_tip(&theirs).await;
        assert_eq!(fixture.failed_sessions(), 0);
    })
    .await;
}

/// Held bodies take the room of those to come.
#[tokio::test(start_paused = true)]
async fn no_body_is_held_once_its_block_is_adopted_however_it_came() {
    local(async {
        let mut theirs = chain(0, 1);
        let fixture = Fixture::new(&theirs);
        let peers = [4000, 4001].map(|port| fixture.peer(port, &theirs));
        for _ in 0..20 {
            theirs = theirs.and(3, 1);
            for peer in &peers {
                *peer.chain.borrow_mut() = theirs.clone();
                fixture.hear(peer);
            }
            fixture.until_tip(&theirs).await;
            assert_eq!(fixture.held(&theirs).await, 0);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_come_after_their_adoption_are_not_held() {
    local(async {
        let theirs = chain(4, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let late = fixture.peer(4000, &theirs);
        late.block_time.set(2 * bodies::PATIENCE);
        fixture.hear(&late);
        until("it is asked", || late.block_requests() == 1).await;
        let prompt = fixture.peer(4001, &theirs);
        fixture.hear(&prompt);
        fixture.until_tip(&theirs).await;
        assert_eq!(prompt.asked_blocks(), 4, "it delivered all");
        seconds(20).await;
        assert_eq!(fixture.held(&theirs).await, 0);
        assert_eq!(fixture.failed_sessions(), 0, "the late one sent them");
    })
    .await;
}

/// Ends a session as one does that another takes the place of.
#[derive(Message)]
#[rtype(result = "()")]
struct DropSession(SocketAddr);

impl Handler<DropSession> for ForkResolver {
    type Result = ();

    fn handle(&mut self, DropSession(endpoint): DropSession, ctx: &mut Self::Context) {
        self.drop_session(&endpoint, ctx);
    }
}

/// Takes one body of a chain, as a new session does. Answers with its height.
#[derive(Message)]
#[rtype(result = "Option<Height>")]
struct TakeOne(TestChain);

impl Handler<TakeOne> for ForkResolver {
    type Result = Option<Height>;

    fn handle(&mut self, TakeOne(chain): TakeOne, _: &mut Self::Context) -> Option<Height> {
        let keys = chain.blocks.iter().map(|b| (b.header.height, b.id()));
        let wanted: Vec<_> = keys.collect();
        let mut bodies = self.shared.bodies.borrow_mut();
        let new = bodies.giver(SocketAddr::from(([127, 0, 0, 1], 1)));
        let taken = bodies.take(&new, &wanted, 1, Instant::now());
        taken.first().map(|(height, _)| *height)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_session_was_to_fetch_is_free_for_others_when_it_is_dropped() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let peer = fixture.wrong_peer(4000, &theirs, Behaviour::WithholdsBodies);
        fixture.hear(&peer);
        until("it is asked", || peer.block_requests() == 1).await;
        let dropped = DropSession(peer.address);
        fixture.resolver.send(dropped).await.unwrap();
        // The fourth has been asked of nobody, so it would come first if the others were not
        // free.
        let longer = theirs.and(1, 2);
        let first = fixture.resolver.send(TakeOne(longer)).await.unwrap();
        assert_eq!(first, Some(Height(1)));
    })
    .await;
}
