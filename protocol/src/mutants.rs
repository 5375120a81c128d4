//! Mutants: seeded faults, one for each rule that a network could lose without anybody
//! noticing. The simulator switches them on one at a time and must fail for each; a simulator
//! that catches none is broken itself.
//!
//! They exist only in a build with `--cfg mvb_mutants`, which nothing but the simulator is
//! ever given. In every other build [`crate::mutant!`] is the constant `false`, and what it
//! guards is not compiled in.

/// Whether the named mutant is at work here; the constant `false` without `--cfg mvb_mutants`.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is_at_work($crate::mutants::Mutant::$name)
    };
}

macro_rules! list {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// A seeded fault, named after what it breaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[doc = $what])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)+];

            /// What it breaks, in words.
            pub fn what(self) -> &'static str {
                match self {
                    $(Mutant::$name => concat!($($what),+).trim_ascii(),)+
                }
            }
        }
    };
}

list! {
    /// A header's proof of work is not checked.
    WorkUnchecked,
    /// A header may carry another target than the chain prescribes.
    TargetUnchecked,
    /// A header may be no later than its parent.
    TimeOrderUnchecked,
    /// A header may be from the far future.
    FutureUnchecked,
    /// A header may carry any version.
    VersionUnchecked,
    /// A header may carry any height.
    HeightUnchecked,
    /// Headers need not link to each other.
    LinkUnchecked,
    /// A body need not be the one its header commits to.
    ContentUnchecked,
    /// A block may hold fewer payments than block_size asks for.
    LeastPaymentsUnchecked,
    /// A block may be larger than max_block_bytes.
    SizeUnchecked,
    /// Signatures in blocks are not verified.
    SignaturesUnchecked,
    /// The high-s twin of a signature is taken too.
    HighSTaken,
    /// A payment of another network is taken.
    OtherNetworkTaken,
    /// What is verified is remembered by payment id, whatever the signature.
    VerifiedById,
    /// A block's reward may be any amount.
    RewardUnchecked,
    /// A payment may carry any sequence.
    SequenceUnchecked,
    /// A payment may spend more than there is.
    BalanceUnchecked,
    /// The subsidy goes on when the supply is used up.
    SubsidyNeverEnds,
    /// The target never follows the time that blocks take.
    RetargetOff,
    /// Of two chains of equal work the one heard first stays.
    TieKeepsFirst,
    /// A status of equal work starts no fetch.
    TieStartsNoFetch,
    /// The higher chain wins, whatever its work.
    HeightWins,
    /// The valid beginning of a branch is adopted though the tip was better.
    WorsePrefixAdopted,
    /// Taking a block back leaves the senders' sequences where they were.
    UndoKeepsSequences,
    /// Taking a block back leaves the reward with its miner.
    UndoKeepsReward,
    /// A reorganisation applies the new branch on top of the old one's accounts.
    ReorgWithoutUndo,
    /// A branch may begin on a block that is not on the active chain.
    ParentUnchecked,
    /// A block from too far ahead is remembered as invalid.
    EarlyBlockCondemned,
    /// A block is remembered as invalid because of a body that is not its own.
    ForeignBodyCondemned,
    /// A locator holds the tip alone.
    LocatorOfOne,
    /// The listener finds the fork point on chains it has left.
    ForkPointOffChain,
    /// A peer whose session failed is never asked again.
    BusyForEver,
    /// Sessions have no deadlines.
    NoDeadlines,
    /// A peer out of reach is left alone for an hour.
    HourOfBackOff,
    /// A claim that comes to nothing silences its peer.
    LieSilencesPeer,
    /// Peers that nobody has proven may take every slot.
    UnprovenTakeAll,
    /// An unproven peer that sends next to nothing keeps its slot though others wait.
    SlotForEver,
    /// A fetch under way covers its claim for as long as it lasts.
    FetchCoversForEver,
    /// A download that ended is never reported as ended.
    DownloadNeverEnds,
    /// After one failure of the store nothing is fetched again.
    StoreFailureForEver,
    /// What a reorganisation takes back does not return to the mempool.
    NothingReturns,
    /// Payments stay in the mempool when they are confirmed.
    ConfirmedStay,
    /// The mempool grows without bound.
    MempoolUnbounded,
    /// Any number of one sender's payments is held, however far ahead.
    SenderUnbounded,
    /// The mempool takes payments without verifying their signatures.
    IntakeTrusts,
    /// Payments are chosen for a block without trying them against the ledger.
    ChosenUntried,
    /// A tip is announced before its commit is done.
    AnnouncedUnsynced,
    /// A commit that failed counts as done.
    FailedCommitCounts,
    /// The store forgets the blocks that a reorganisation takes back.
    OrphansForgotten,
    /// The index of payments keeps those that a reorganisation takes back.
    IndexKeepsOrphans,
    /// Names that settle in an index are lost.
    SettlingLoses,
    /// A name that has settled stays in its index when a reorganisation takes its block back.
    SettledStays,
    /// The store keeps an account that a reorganisation has emptied.
    EmptyAccountStays,
    /// A status goes out only when the tip changes.
    StatusOnChangeOnly,
    /// Statuses show the tip of the node's start.
    StatusOfStart,
    /// The outbox is announced once.
    OutboxOnce,
    /// A miner whose block was refused stops.
    MinerGivesUp,
    /// A miner does not begin anew when the tip changes.
    MinerKeepsJob,
}

/// Whether the mutant is at work on this thread.
#[cfg(not(mvb_mutants))]
#[inline(always)]
pub const fn is_at_work(_: Mutant) -> bool {
    false
}

#[cfg(mvb_mutants)]
pub use switch::{is_at_work, put_to_work, without};

/// The switch. A simulated network runs on one thread, so that several of them can run side
/// by side, each with its own mutant.
#[cfg(mvb_mutants)]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    std::thread_local! {
        static AT_WORK: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Whether the mutant is at work on this thread.
    pub fn is_at_work(mutant: Mutant) -> bool {
        AT_WORK.get() == Some(mutant)
    }

    /// Puts a mutant to work on this thread, or none.
    pub fn put_to_work(mutant: Option<Mutant>) {
        AT_WORK.set(mutant);
    }

    /// Runs a judge of the code, which must not be fooled by the mutant that it looks for.
    pub fn without<T>(judge: impl FnOnce() -> T) -> T {
        let mutant = AT_WORK.replace(None);
        let verdict = judge();
        AT_WORK.set(mutant);
        verdict
    }
}

/// Runs a judge of the code, which must not be fooled by the mutant that it looks for.
#[cfg(not(mvb_mutants))]
#[inline(always)]
pub fn without<T>(judge: impl FnOnce() -> T) -> T {
    judge()
}
