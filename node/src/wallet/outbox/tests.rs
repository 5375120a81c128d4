//! Sequences are reserved once, whoever asks, and nothing is lost.

use super::*;
use mvb_protocol::{
    amount::Amount,
    hash::GenesisId,
    keys::{Curve, SecretKey},
    numbers::Timestamp,
    transaction::Payment,
};
use std::{collections::BTreeSet, fs, io::Write, process::Command, thread};

/// Names the folder in which the child of a test makes its payments.
const CHILD: &str = "MVB_TEST_OUTBOX";

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[number; 32]).unwrap()
}

fn sender(number: u8) -> Address {
    Address::of_key(secret(number).public_key().as_bytes())
}

fn payment(number: u8, sequence: Sequence, fee: u64) -> Transaction {
    Payment {
        genesis: GenesisId([9; 32]),
        to: Address([1; 32]),
        amount: Amount::from_units(5),
        fee: Amount::from_units(fee),
        sequence,
        timestamp: Timestamp(0),
    }
    .sign(&secret(number))
}

fn append(outbox: &Outbox, number: u8, next: u64) -> SavedPayment {
    outbox
        .append::<OutboxError>(
            &sender(number),
            || Ok(Sequence(next)),
            |reservation| Ok(payment(number, reservation.sequence, 0)),
        )
        .unwrap()
}

/// Runs a test on the disk and in memory.
fn both(test: impl Fn(&Outbox)) {
    test(&Outbox::in_memory());
    let folder = tempfile::tempdir().unwrap();
    test(&Outbox::open(&folder.path().join("outbox")).unwrap());
}

#[test]
fn the_next_sequence_is_the_greater_of_chain_and_outbox() {
    both(|outbox| {
        let sequences: Vec<u64> = [0, 0, 7, 3, 0]
            .map(|next| append(outbox, 1, next).transaction.sequence.0)
            .to_vec();
        assert_eq!(sequences, [0, 1, 7, 8, 9]);
        assert_eq!(append(outbox, 2, 0).transaction.sequence, Sequence(0));
    });
}

#[test]
fn a_payment_that_was_refused_reserves_nothing() {
    both(|outbox| {
        let refused = outbox.append::<OutboxError>(
            &sender(1),
            || Ok(Sequence(0)),
            |_| {
                Err(OutboxError::Damaged {
                    what: "refused".to_owned(),
                })
            },
        );
        assert!(refused.is_err());
        assert_eq!(append(outbox, 1, 0).transaction.sequence, Sequence(0));
    });
}

#[test]
fn the_last_sequence_has_no_next_one() {
    both(|outbox| {
        append(outbox, 1, u64::MAX);
        let refused = outbox.append::<OutboxError>(
            &sender(1),
            || Ok(Sequence(0)),
            |reservation| Ok(payment(1, reservation.sequence, 0)),
        );
        assert!(matches!(refused, Err(OutboxError::NoSequence { .. })));
    });
}

#[test]
fn what_is_saved_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let saved = append(&Outbox::open(folder.path()).unwrap(), 1, 4);
    let outbox = Outbox::open(folder.path()).unwrap();
    assert_eq!(outbox.get(&saved.id).unwrap(), Some(saved.clone()));
    assert_eq!(
        Outbox::unsettled(&outbox).unwrap(),
        std::slice::from_ref(&saved)
    );
    assert_eq!(
        outbox.with_sequence(&sender(1), Sequence(4)).unwrap(),
        [saved]
    );
}

#[test]
fn of_payments_with_one_sequence_the_newest_is_announced() {
    both(|outbox| {
        let first = append(outbox, 1, 0);
        let second = append(outbox, 1, 0);
        let replacement = outbox
            .replace::<OutboxError>(|_| Ok(payment(1, Sequence(0), 9)))
            .unwrap();
        let announced: Vec<TxId> = env::Outbox::unsettled(outbox)
            .unwrap()
            .iter()
            .map(|transaction| transaction.id())
            .collect();
        assert_eq!(announced, [second.id, replacement.id]);
        assert_eq!(
            outbox.with_sequence(&sender(1), Sequence(0)).unwrap(),
            [first, replacement]
        );
    });
}

#[test]
fn two_handles_on_many_threads_reserve_different_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let handles = [0, 1].map(|_| Outbox::open(folder.path()).unwrap());
    let sequences: BTreeSet<Sequence> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let outbox = &handles[i % 2];
                scope.spawn(move || append(outbox, 1, 0).transaction.sequence)
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(sequences, (0..8).map(Sequence).collect());
}

#[test]
fn two_processes_at_once_reserve_different_sequences() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let outbox = Outbox::open(Path::new(&folder)).unwrap();
        (0..10).for_each(|_| drop(append(&outbox, 1, 0)));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let this = "wallet::outbox::tests::two_processes_at_once_reserve_different_sequences";
    let children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", this])
                .env(CHILD, folder.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let outbox = Outbox::open(folder.path()).unwrap();
    (0..10).for_each(|_| drop(append(&outbox, 1, 0)));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let sequences: Vec<u64> = Outbox::unsettled(&outbox)
        .unwrap()
        .iter()
        .map(|payment| payment.transaction.sequence.0)
        .collect();
    assert_eq!(sequences, (0..30).collect::<Vec<u64>>());
}

/// What a damaged chain's store says to do is of no use here, and was said.
#[test]
fn a_damaged_file_is_told_as_the_outbox_that_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(Outbox::open(folder.path()).unwrap());
    let file = fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join("data.mdb"));
    file.unwrap().write_all(&[0xff; 64]).unwrap();
    let refused = Outbox::open(folder.path()).err().unwrap();
    assert!(
        matches!(refused, OutboxError::Damaged { .. }),
        "{refused:?}"
    );
    let told = refused.to_string();
    assert!(
        told.contains("move outbox out of the home") && !told.contains("chain store"),
        "{told}"
    );
}

/// Found by the fuzz targets: a damaged record stood for another payment, and after a last
/// number without a next one the first payment would have been written over.
#[test]
fn damaged_records_are_told_and_take_nobodys_place() {
    both(|outbox| {
        let [first, second] = [0, 1].map(|next| append(outbox, 1, next));
        let put = |key: &[u8], value: &[u8]| {
            let put = |tables: &mut dyn tables::WriteTables| tables.put(key, value);
            outbox.backend.write::<_, OutboxError>(put).unwrap();
        };
        let is_damage = |error: &OutboxError| matches!(error, OutboxError::Damaged { .. });

        let by_id = [&b"i"[..], &second.id.0].concat();
        put(&by_id, &first.number.to_be_bytes());
        assert!(is_damage(&outbox.get(&second.id).unwrap_err()));
        put(&by_id, &second.number.to_be_bytes());

        put(&[b'p'; 9], b"");
        put(&[&b"p"[..], &[0xff; 8]].concat(), b"");
        let refused = outbox.append::<OutboxError>(
            &sender(2),
            || Ok(Sequence(0)),
            |reservation| Ok(payment(2, reservation.sequence, 0)),
        );
        assert!(is_damage(&refused.unwrap_err()));
        assert_eq!(outbox.get(&first.id).unwrap(), Some(first));
        assert_eq!(outbox.get(&second.id).unwrap(), Some(second));
    });
}
