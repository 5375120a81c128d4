//! What lies and silence did to the Python original's nodes, holes 20 to 24 of its list: here
//! they cost this node no block, no standstill and no connection that it did not choose.

use super::{
    scripted::{Behaviour, status},
    *,
};

/// Hole 21: nothing is taken back before something better has come in whole.
#[tokio::test(start_paused = true)]
async fn no_silence_of_a_peer_takes_a_block_from_this_chain() {
    local(async {
        for silence in [
            Behaviour::Mute,
            Behaviour::SilentAfterHello,
            Behaviour::WithholdsBodies,
            Behaviour::Trickles,
            Behaviour::HasNoBlocks,
            Behaviour::HangsUp,
        ] {
            let base = chain(2, 1);
            let ours = base.clone().and(3, 2);
            let fixture = Fixture::new(&ours);
            let peer = fixture.wrong_peer(4000, &base.and(9, 3), silence);
            for _ in 0..30 {
                fixture.hear(&peer);
                seconds(2).await;
            }
            assert!(fixture.world.net.connected(peer.address) > 0);
            assert_eq!(fixture.world.tip(), ours.tip(), "{silence:?}");
            assert!(fixture.changes.borrow().is_empty(), "{silence:?}");
        }
    })
    .await;
}

/// Hole 22: tarpits hold their sessions only, and those not for long.
#[tokio::test(start_paused = true)]
async fn tarpits_hold_up_neither_the_miners_blocks_nor_an_honest_peer() {
    local(async {
        let ours = chain(2, 1);
        let fixture = Fixture::new(&ours);
        let theirs = ours.clone().and(9, 3);
        let silences = [
            Behaviour::Mute,
            Behaviour::SilentAfterHello,
            Behaviour::Trickles,
        ];
        for (port, silence) in (4000..).zip(silences) {
            let tarpit = fixture.wrong_peer(port, &theirs, silence);
            fixture.hear(&tarpit);
        }
        seconds(1).await;
        let block = ours.mine(Vec::new(), address(1));
        let mined = fixture.manager.send(SubmitBlock {
            block: block.into(),
        });
        let answered = tokio::time::timeout(Duration::from_millis(1), mined).await;
        let tip = answered.expect("at once").unwrap().unwrap();
        assert_eq!(tip.height, Height(3));
        let honest = fixture.peer(5000, &theirs);
        fixture.hear(&honest);
        seconds(4).await;
        assert_eq!(fixture.world.tip(), theirs.tip());
        seconds(60).await;
        until("no session is left", || {
            let sync = fixture.sync.borrow();
            sync.last().is_some_and(|sync| !sync.catching_up)
        })
        .await;
    })
    .await;
}

/// Hole 23: the address is one's own, the node id is not, so only the Hello shows it.
#[tokio::test(start_paused = true)]
async fn a_status_spoofed_from_ones_own_address_ends_at_ones_own_hello() {
    local(async {
        let theirs = chain(3, 1);
        let fixture = Fixture::new(&chain(0, 1));
        let own = fixture.peer(4000, &theirs);
        own.is_the_node_itself.set(true);
        for byte in 0..20 {
            let node = NodeId([byte; 16]);
            let spoofed = status(easy_params(), invented_tip(byte), node, 4000);
            fixture.hear_status(spoofed, own.address);
            seconds(1).await;
        }
        assert!(fixture.world.net.connected(own.address) > 0);
        assert!(
            own.requests.borrow().is_empty(),
            "nothing is asked of oneself"
        );
        let honest = fixture.peer(4001, &theirs);
        fixture.hear(&honest);
        fixture.until_tip(&theirs).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn peers_that_keep_their_bodies_do_not_keep_the_miner_waiting() {
    local(async {
        let ours = chain(2, 1);
        let fixture = Fixture::new(&ours);
        let theirs = ours.clone().and(9, 3);
        for port in 4000..4008 {
            let tarpit = fixture.wrong_peer(port, &theirs, Behaviour::Trickles);
            fixture.hear(&tarpit);
            seconds(4).await;
            let sync = fixture.sync.borrow();
            let waits = sync.last().is_some_and(|sync| sync.catching_up);
            assert!(!waits, "since the peer at {port}");
        }
        assert_eq!(fixture.sync.borrow().len(), 2, "it waited once");
    })
    .await;
}

/// Seed 444 of the simulator: liars had taken every slot of unproven peers and kept each for half a
/// minute with a byte a second, so a peer whose blocks had always come by way of others was not asked.
#[tokio::test(start_paused = true)]
async fn peers_that_trickle_do_not_keep_out_an_honest_one_that_nobody_has_proven() {
    local(async {
        let fixture = Fixture::new(&chain(2, 1));
        let theirs = chain(2, 1).and(9, 3);
        let tarpits: Vec<_> = (4000..4012)
            .map(|port| fixture.wrong_peer(port, &theirs, Behaviour::Trickles))
            .collect();
        for tarpit in &tarpits {
            fixture.hear(tarpit);
        }
        let asked = |tarpit: &&Rc<ScriptedPeer>| fixture.world.net.connected(tarpit.address) > 0;
        let count = || tarpits.iter().filter(asked).count();
        until("every slot is taken", || count() == 4).await;
        let better = theirs.clone().and(1, 4);
        let honest = fixture.peer(5000, &better);
        fixture.hear(&honest);
        seconds(1).await;
        assert_eq!(fixture.world.net.connected(honest.address), 0);
        seconds(15).await;
        assert_eq!(fixture.world.tip(), better.tip());
    })
    .await;
}
