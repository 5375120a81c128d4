//! What the wallet says while payments are made, mined, orphaned and cancelled, on a chain
//! in memory whose blocks need hardly any work.

use super::*;
use crate::resident::{Resident, ResidentStatus};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::HistoryKind,
    connect::connect,
    hash::{BlockId, ContentRoot},
    keys::Curve,
    numbers::{Height, Sequence, Timestamp},
    params::BLOCK_VERSION,
    transaction::Transaction,
    validate::{HeaderChain, expected_reward, verify_block},
};
use std::{sync::Arc, thread, time::Duration};

const NOW: Timestamp = Timestamp(1_000_000_000);

struct World {
    _folder: tempfile::TempDir,
    wallet: Wallet,
    store: MemoryStore,
    params: ChainParams,
    alice: Address,
    bob: Address,
}

/// A wallet with the keys alice and bob, on a chain of which alice has mined so many blocks.
fn world(block_size: u32) -> World {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyStore::new(folder.path());
    let [alice, bob] = ["alice", "bob"].map(|name| {
        let key = keys.create(&name.parse().unwrap(), Curve::P256, None);
        key.unwrap().address()
    });
    let params = ChainParams {
        difficulty: 1,
        block_size,
        ..ChainParams::default()
    };
    let store = MemoryStore::new(params.clone());
    let outbox = Arc::new(Outbox::open(&folder.path().join("outbox.d")).unwrap());
    let wallet = Wallet::new(keys, outbox, Arc::new(store.clone()), params.clone());
    World {
        _folder: folder,
        wallet,
        store,
        params,
        alice,
        bob,
    }
}

fn coins(text: &str) -> Amount {
    text.parse().unwrap()
}

fn party(text: &str) -> Party {
    text.parse().unwrap()
}

fn request(from: &str, amount: &str, to: &str) -> SendRequest {
    SendRequest {
        from: party(from),
        amount: coins(amount),
        to: party(to),
        fee: Amount::ZERO,
        now: NOW,
    }
}

fn no_passphrase(_: &KeyName) -> Option<Passphrase> {
    None
}

impl World {
    fn send(&self, from: &str, amount: &str, to: &str) -> Result<Sent, PaymentError> {
        self.wallet.send(&request(from, amount, to), &no_passphrase)
    }

    fn cancel(&self, id: TxId, fee: Option<Amount>) -> Result<Sent, PaymentError> {
        let request = CancelRequest { id, fee, now: NOW };
        self.wallet.cancel(&request, &no_passphrase)
    }

    /// Mines blocks onto a parent of the active chain and connects them as one branch.
    fn mine_on(&self, parent: BlockId, bodies: &[Vec<Transaction>]) {
        let snapshot = self.store.snapshot().unwrap();
        let mut headers = HeaderChain::ending_at(&*snapshot, &self.params, parent).unwrap();
        let mut branch = Vec::new();
        for transactions in bodies {
            let block = self.block(&headers, transactions.clone());
            headers.push(&self.params, &block.header, None).unwrap();
            branch.push(verify_block(Arc::new(block), &self.params).unwrap());
        }
        let connection = connect(&*snapshot, &self.params, &branch, NOW).unwrap();
        assert_eq!(connection.rejected, None);
        drop(snapshot);
        self.store
            .commit(&connection.changes.expect("the branch is better"))
            .unwrap();
        let snapshot = self.store.snapshot().unwrap();
        self.wallet.outbox().observe(&*snapshot).unwrap();
    }

    fn block(&self, headers: &HeaderChain, transactions: Vec<Transaction>) -> Block {
        let height = headers.tip().height.next().unwrap();
        let reward = Reward {
            to: self.alice,
            amount: expected_reward(&self.params, height, &transactions).unwrap(),
            extra_nonce: transactions.len() as u64,
        };
        let mut block = Block {
            header: Header {
                previous: headers.tip().id,
                content_root: ContentRoot::default(),
                version: BLOCK_VERSION,
                target: headers.next_target(&self.params),
                height,
                timestamp: headers.least_timestamp(),
                nonce: 0,
            },
            transactions,
            reward,
        };
        let wids = block.wids();
        block.header.content_root = block.content_root(self.params.genesis_id(), &wids);
        let target = block.header.target.expand().unwrap();
        while !target.is_met_by(&block.header.id()) {
            block.header.nonce += 1;
        }
        block
    }

    fn mine(&self, transactions: Vec<Transaction>) {
        self.mine_on(self.tip().id, &[transactions]);
    }

    fn tip(&self) -> mvb_protocol::chain::Tip {
        self.store.snapshot().unwrap().tip().unwrap()
    }

    fn why(&self, id: &TxId, resident: &Resident, now: Timestamp) -> Vec<String> {
        let why = self.wallet.why(id, resident, now).unwrap();
        why.reasons.iter().map(ToString::to_string).collect()
    }

    fn resident(&self, ready: usize, miner_heard: Option<u64>) -> Resident {
        Resident::Alive(Box::new(ResidentStatus {
            pid: 1,
            role: "wallet".to_owned(),
            genesis: self.params.genesis_id().to_string(),
            started: 0,
            written: NOW.0,
            interval: 5_000,
            height: 0,
            tip: String::new(),
            miner_heard,
            peers: 1,
            waiting: ready,
            ready,
            mining: None,
            catching_up: None,
            other_network: None,
            block_server_port: None,
            intake: Default::default(),
        }))
    }

    fn pending(&self, address: &Address) -> String {
        self.wallet.pending(address).unwrap().to_string()
    }
}

#[test]
fn a_payment_is_saved_counts_as_pending_and_is_confirmed() {
    let world = world(2);
    world.mine(vec![]);
    let sent = world.send("alice", "2.5", "bob").unwrap();
    assert_eq!(sent.from, world.alice);
    assert_eq!(sent.transaction.sequence, Sequence(0));
    assert_eq!(
        world.wallet.outbox().get(&sent.id).unwrap().unwrap().id,
        sent.id
    );
    assert_eq!(world.pending(&world.alice), "-2.500000");
    assert_eq!(world.pending(&world.bob), "+2.500000");
    assert_eq!(world.wallet.state(&sent.id).unwrap(), PaymentState::Pending);
    world.mine(vec![sent.transaction]);
    assert_eq!(world.pending(&world.alice), "0.000000");
    assert_eq!(
        world.wallet.state(&sent.id).unwrap(),
        PaymentState::Confirmed {
            height: Height(2),
            depth: 1
        }
    );
    let list = world.wallet.addresses().unwrap();
    let balances: Vec<String> = list
        .addresses
        .iter()
        .map(|line| format!("{} {:.6} {}", line.name, line.balance, line.pending))
        .collect();
    assert_eq!(
        balances,
        ["alice 17.500000 0.000000", "bob 2.500000 0.000000"]
    );
}

#[test]
fn from_and_to_are_names_or_addresses() {
    let world = world(1);
    world.mine(vec![]);
    let (alice, bob) = (world.alice.to_string(), world.bob.to_lower_hex());
    let sent = world.send(&alice, "1", &bob).unwrap();
    assert_eq!((sent.from, sent.transaction.to), (world.alice, world.bob));
    let foreign = Address([3; 32]).to_string();
    world.send("alice", "1", &foreign).unwrap();
    assert!(matches!(
        world.send(&foreign, "1", "bob"),
        Err(PaymentError::ForeignSender { .. })
    ));
    assert!(world.send("alice", "1", "nobody").is_err());
    assert!(matches!(
        world.send("alice", "0", "bob"),
        Err(PaymentError::Transaction(_))
    ));
}

#[test]
fn what_the_balance_less_pending_cannot_cover_is_refused_with_numbers() {
    let world = world(1);
    world.mine(vec![]);
    world.send("alice", "7", "bob").unwrap();
    let refused = world.send("alice", "4", "bob").unwrap_err().to_string();
    assert_eq!(
        refused,
        "4 needed (amount 4 and fee 0), but only 3 can be spent: balance 10 less 7 pending"
    );
    assert_eq!(world.wallet.outbox().unsettled().unwrap().len(), 1);
    world.send("alice", "3", "bob").unwrap();
    // What is coming in is not there yet.
    assert!(world.send("bob", "1", "alice").is_err());
}

#[test]
fn two_sends_at_once_reserve_two_sequences_and_never_overspend() {
    let world = world(1);
    world.mine(vec![]);
    let send = || {
        let alice = request("alice", "3", "bob");
        world.wallet.send(&alice, &no_passphrase)
    };
    let results: Vec<Result<Sent, PaymentError>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(send)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut sequences: Vec<u64> = results
        .iter()
        .flatten()
        .map(|sent| sent.transaction.sequence.0)
        .collect();
    sequences.sort_unstable();
    assert_eq!(sequences, [0, 1, 2]);
}

#[test]
fn an_encrypted_key_pays_only_with_its_passphrase() {
    let world = world(1);
    let name: KeyName = "safe".parse().unwrap();
    let passphrase = Passphrase::new("p".to_owned());
    let keys = world.wallet.keys();
    let safe = keys
        .create(&name, Curve::P256, Some(&passphrase))
        .unwrap()
        .address();
    world.mine(vec![]);
    let funded = world.send("alice", "5", &safe.to_string()).unwrap();
    world.mine(vec![funded.transaction]);
    let request = request("safe", "1", "bob");
    assert!(matches!(
        world.wallet.send(&request, &no_passphrase),
        Err(PaymentError::Key(KeyStoreError::Locked { .. }))
    ));
    let unlock = |asked: &KeyName| (*asked == name).then(|| passphrase.clone());
    assert_eq!(world.wallet.send(&request, &unlock).unwrap().from, safe);
}

#[test]
fn cancelling_replaces_the_payment_by_one_to_oneself() {
    let world = world(1);
    world.mine(vec![]);
    let sent = world.send("alice", "7", "bob").unwrap();
    let low = world.cancel(sent.id, Some(Amount::ZERO)).unwrap_err();
    assert!(low.to_string().contains("at least 0.000001"), "{low}");
    let cancelled = world.cancel(sent.id, None).unwrap();
    assert_eq!(
        (cancelled.transaction.sequence, cancelled.transaction.to),
        (Sequence(0), world.alice)
    );
    assert_eq!(cancelled.transaction.fee, Amount::from_units(1));
    assert_eq!(world.pending(&world.alice), "-0.000001");
    assert_eq!(world.pending(&world.bob), "0.000000");
    let superseded = PaymentState::Superseded {
        by: Some(cancelled.id),
    };
    assert_eq!(world.wallet.state(&sent.id).unwrap(), superseded);
    assert!(matches!(
        world.cancel(sent.id, None),
        Err(PaymentError::AlreadySuperseded { .. })
    ));
    // The money is free again.
    world.send("alice", "9", "bob").unwrap();
    world.mine(vec![cancelled.transaction]);
    assert_eq!(world.wallet.state(&sent.id).unwrap(), superseded);
    assert!(matches!(
        world.cancel(cancelled.id, None),
        Err(PaymentError::AlreadyConfirmed { .. })
    ));
    assert!(matches!(
        world.cancel(TxId([5; 32]), None),
        Err(PaymentError::NotMadeHere { .. })
    ));
}

#[test]
fn a_replacement_fee_is_a_tenth_more_and_at_least_a_unit() {
    for (fee, least) in [(0, 1), (1, 2), (10, 11), (11, 13), (100, 110)] {
        let found = least_replacement_fee(Amount::from_units(fee)).unwrap();
        assert_eq!(found.units(), least);
    }
    assert!(least_replacement_fee(Amount::from_units(u64::MAX)).is_err());
}

#[test]
fn an_orphaned_payment_is_told_with_its_block_and_waits_again() {
    let world = world(1);
    world.mine(vec![]);
    let fork = world.tip().id;
    let sent = world.send("alice", "1", "bob").unwrap();
    world.mine(vec![sent.transaction.clone()]);
    world.mine_on(fork, &[vec![], vec![]]);
    assert_eq!(
        world.wallet.state(&sent.id).unwrap(),
        PaymentState::Orphaned { height: Height(2) }
    );
    let heard = world.resident(1, Some(NOW.0));
    assert_eq!(
        world.why(&sent.id, &heard, NOW),
        ["its block 2 was orphaned, waiting again"]
    );
    assert_eq!(world.pending(&world.bob), "+1.000000");
    world.mine(vec![sent.transaction]);
    assert_eq!(
        world.why(&sent.id, &heard, NOW),
        ["confirmed in block 4, 1 deep"]
    );
}

#[test]
fn a_lone_payment_says_how_many_more_transactions_it_waits_for() {
    let world = world(3);
    world.mine(vec![]);
    let sent = world.send("alice", "1", "bob").unwrap();
    let why = |ready| world.why(&sent.id, &world.resident(ready, Some(NOW.0)), NOW);
    assert_eq!(why(0), ["waits for 1 more transaction"]);
    assert_eq!(why(2), ["waits for the next block"]);
    world.send("alice", "1", "bob").unwrap();
    assert_eq!(why(0), ["waits for the next block"]);
}

#[test]
fn what_somebody_pays_themselves_is_not_missing_for_their_next_payment() {
    let world = world(2);
    world.mine(vec![]);
    world.send("alice", "8", "alice").unwrap();
    let sent = world.send("alice", "8", "bob").unwrap();
    let why = world.why(&sent.id, &world.resident(2, Some(NOW.0)), NOW);
    assert_eq!(why, ["waits for the next block"]);
}

#[test]
fn a_missing_sequence_is_named() {
    let world = world(1);
    world.mine(vec![]);
    let outbox = world.wallet.outbox();
    let secret = world.wallet.keys().load(&"alice".parse().unwrap(), None);
    let secret = secret.unwrap();
    let payment = |sequence| {
        let payment = mvb_protocol::transaction::Payment {
            genesis: world.params.genesis_id(),
            to: world.bob,
            amount: coins("1"),
            fee: Amount::ZERO,
            sequence,
            timestamp: NOW,
        };
        payment.sign(&secret)
    };
    for sequence in [0, 1, 2, 3, 5] {
        outbox
            .append::<OutboxError>(
                &world.alice,
                || Ok(Sequence(sequence)),
                |reservation| Ok(payment(reservation.sequence)),
            )
            .unwrap();
    }
    let last = payment(Sequence(5)).id();
    assert_eq!(
        world.why(&last, &world.resident(4, Some(NOW.0)), NOW),
        ["sequence 4 is missing"]
    );
}

#[test]
fn a_payment_that_another_chain_left_uncovered_says_so() {
    let world = world(1);
    let secret = world.wallet.keys().load(&"bob".parse().unwrap(), None);
    let payment = mvb_protocol::transaction::Payment {
        genesis: world.params.genesis_id(),
        to: world.alice,
        amount: coins("4"),
        fee: Amount::ZERO,
        sequence: Sequence(0),
        timestamp: NOW,
    };
    let payment = payment.sign(&secret.unwrap());
    let id = payment.id();
    let outbox = world.wallet.outbox();
    outbox
        .append::<OutboxError>(&world.bob, || Ok(Sequence(0)), |_| Ok(payment))
        .unwrap();
    assert_eq!(
        world.why(&id, &world.resident(0, Some(NOW.0)), NOW),
        ["balance 0 does not cover 4"]
    );
}

#[test]
fn silence_of_miners_or_of_the_resident_process_is_told() {
    let world = world(1);
    world.mine(vec![]);
    let sent = world.send("alice", "1", "bob").unwrap();
    let why = |resident: &Resident| world.why(&sent.id, resident, NOW);
    assert_eq!(
        why(&world.resident(1, Some(NOW.0 - 12_000))),
        ["no miner heard for 12 s"]
    );
    assert_eq!(why(&world.resident(1, None)), ["no miner heard yet"]);
    assert!(why(&Resident::None)[0].contains("nobody announces it"));
    let silent = Resident::Silent {
        since: Duration::from_secs(30),
    };
    assert!(why(&silent)[0].contains("silent for 30 s"));
    let Resident::Alive(mut status) = world.resident(1, Some(NOW.0)) else {
        unreachable!()
    };
    status.catching_up = Some((10, 200));
    assert_eq!(
        why(&Resident::Alive(status)),
        ["this home is catching up, block 10 of 200"]
    );
    assert!(world.wallet.why(&TxId([8; 32]), &silent, NOW).is_err());
}

#[test]
fn a_history_shows_what_waits_and_then_the_chain_in_pages() {
    let world = world(1);
    world.mine(vec![]);
    let first = world.send("alice", "1", "bob").unwrap();
    world.mine(vec![first.transaction]);
    let second = world.send("alice", "2", "bob").unwrap();
    let page = |before| Page { before, limit: 2 };
    let lines = world.wallet.history(&world.alice, page(None)).unwrap();
    let shown: Vec<_> = lines
        .iter()
        .map(|line| (line.kind, line.id, line.amount.to_string()))
        .collect();
    assert_eq!(
        shown,
        [
            (HistoryKind::Sent, Some(second.id), "2".to_owned()),
            (HistoryKind::Reward, None, "10".to_owned()),
            (HistoryKind::Sent, Some(first.id), "1".to_owned()),
        ]
    );
    let rest = world
        .wallet
        .history(&world.alice, page(lines.last().unwrap().location))
        .unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].kind, HistoryKind::Reward);
    let bob = world.wallet.history(&world.bob, page(None)).unwrap();
    assert_eq!(bob[0].kind, HistoryKind::Received);
    assert_eq!(bob[1].from, Some(world.alice));
}

#[test]
fn a_payment_is_settled_when_it_is_100_deep_and_its_rivals_with_it() {
    let world = world(1);
    world.mine(vec![]);
    let sent = world.send("alice", "1", "bob").unwrap();
    let cancelled = world.cancel(sent.id, None).unwrap();
    world.mine(vec![sent.transaction]);
    let unsettled = || world.wallet.outbox().unsettled().unwrap().len();
    let bodies = vec![vec![]; outbox::SETTLED_DEPTH as usize - 2];
    world.mine_on(world.tip().id, &bodies);
    assert_eq!(unsettled(), 2);
    world.mine(vec![]);
    assert_eq!(unsettled(), 0);
    // It is still known, and its sequence still taken.
    assert!(world.wallet.state(&sent.id).is_ok());
    assert_eq!(
        world.wallet.state(&cancelled.id).unwrap(),
        PaymentState::Superseded { by: Some(sent.id) }
    );
    let next = world.send("alice", "1", "bob").unwrap();
    assert_eq!(next.transaction.sequence, Sequence(1));
}

#[test]
fn a_payment_made_elsewhere_with_the_same_key_supersedes_ours() {
    let world = world(1);
    world.mine(vec![]);
    let secret = world.wallet.keys().load(&"alice".parse().unwrap(), None);
    let ours = world.send("alice", "1", "bob").unwrap();
    let theirs = mvb_protocol::transaction::Payment {
        amount: coins("2"),
        ..ours.transaction.payment()
    };
    world.mine(vec![theirs.sign(&secret.unwrap())]);
    assert_eq!(
        world.wallet.state(&ours.id).unwrap(),
        PaymentState::Superseded { by: None }
    );
    assert_eq!(world.pending(&world.alice), "0.000000");
    world.mine_on(world.tip().id, &vec![vec![]; 99]);
    assert!(world.wallet.outbox().unsettled().unwrap().is_empty());
}
