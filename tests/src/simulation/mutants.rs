//! Hunts mutants: runs the simulator with each seeded fault in turn until a seed fails. Built
//! with `--cfg mvb_mutants` only.

use super::{Kind, run};
use mvb_protocol::mutants::{Mutant, put_to_work};
use std::{
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// How long one run may take, in real time. One that takes longer goes round in circles.
const PATIENCE: Duration = Duration::from_secs(180);

/// Mutants that the simulator is not expected to find, and why.
const SURVIVORS: [(Mutant, &str); 0] = [];

/// Where the hunt for a mutant begins that few runs of the mixture would find.
const HAUNTS: [(Mutant, Kind); 12] = [
    (Mutant::SizeUnchecked, Kind::Payments),
    (Mutant::SubsidyNeverEnds, Kind::Payments),
    (Mutant::LeastPaymentsUnchecked, Kind::Payments),
    (Mutant::EarlyBlockCondemned, Kind::Lone),
    (Mutant::MinerGivesUp, Kind::Lone),
    (Mutant::LocatorOfOne, Kind::Archive),
    (Mutant::UnprovenTakeAll, Kind::Siege),
    (Mutant::SlotForEver, Kind::Siege),
    (Mutant::FetchCoversForEver, Kind::Siege),
    (Mutant::SenderUnbounded, Kind::Hoards),
    (Mutant::ParentUnchecked, Kind::Liars),
    (Mutant::ForeignBodyCondemned, Kind::Liars),
];

/// What became of a mutant.
pub struct Hunted {
    /// Which.
    pub mutant: Mutant,
    /// The seed that failed first, and how.
    pub caught: Option<(u64, String)>,
}

/// Why a mutant may survive, where that is known.
pub fn why_not(mutant: Mutant) -> Option<&'static str> {
    let found = SURVIVORS.iter().find(|(known, _)| *known == mutant);
    found.map(|(_, why)| *why)
}

/// Hunts all mutants whose names begin with `name`, and tells of each as it is done.
pub fn hunt_all(name: &str, seeds: u64, kind: Kind, threads: usize) -> Vec<Hunted> {
    // A mutant that panics is caught; its message says no more than that.
    panic::set_hook(Box::new(|_| {}));
    let wanted: Vec<Mutant> = Mutant::ALL
        .iter()
        .copied()
        .filter(|mutant| format!("{mutant:?}").starts_with(name))
        .collect();
    let (next, hunted) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = hunt(*mutant, seeds, kind);
                    let mut hunted = hunted.lock().unwrap_or_else(PoisonError::into_inner);
                    tell(&found);
                    hunted.push(found);
                }
            });
        }
    });
    let mut hunted = hunted.into_inner().unwrap_or_else(PoisonError::into_inner);
    hunted.sort_by_key(|hunted| hunted.mutant);
    hunted
}

/// One half of the seeds are of the kind that suits the mutant, if one does.
fn hunt(mutant: Mutant, seeds: u64, kind: Kind) -> Hunted {
    let haunt = HAUNTS.iter().find(|(known, _)| *known == mutant);
    for seed in 0..seeds {
        let kind = match haunt {
            Some((_, haunt)) if kind == Kind::Mixture && seed < seeds / 2 => *haunt,
            _ => kind,
        };
        let (sender, receiver) = mpsc::channel();
        // A thread of its own, which is left behind if it never ends.
        thread::spawn(move || {
            put_to_work(Some(mutant));
            let end = run(seed, kind, false).map_err(|failure| failure.broken.to_string());
            drop(sender.send(end.err()));
        });
        let how = match receiver.recv_timeout(PATIENCE) {
            Ok(None) => continue,
            Ok(Some(how)) => how,
            Err(mpsc::RecvTimeoutError::Timeout) => "it goes round in circles".to_owned(),
            Err(mpsc::RecvTimeoutError::Disconnected) => "the harness panicked".to_owned(),
        };
        let caught = Some((seed, how));
        return Hunted { mutant, caught };
    }
    Hunted {
        mutant,
        caught: None,
    }
}

fn tell(hunted: &Hunted) {
    let Hunted { mutant, caught } = hunted;
    match caught {
        Some((seed, how)) => {
            let how: String = how.chars().take(100).collect();
            println!("{mutant:?}: caught by seed {seed}: {how}");
        }
        None => println!(
            "{mutant:?} survives: {} ({})",
            mutant.what(),
            why_not(*mutant).unwrap_or("unexplained")
        ),
    }
}
