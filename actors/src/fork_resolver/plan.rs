//! What to download from a peer: its headers judged from the fork point on, until they
//! prove a better chain than this node's. Only the ids are kept, 32 bytes a block.

use crate::fork_resolver::error::SessionError;
use mvb_protocol::{
    block::Header,
    chain::{ChainSnapshot, ChainStore, StoreError, Tip},
    hash::BlockId,
    locator::{MAX_LOCATOR, locator},
    numbers::Timestamp,
    params::ChainParams,
    validate::{BlockError, HeaderChain, ValidationError, Verdict},
    wire::MAX_HEADERS,
};
use std::sync::Arc;

/// The most headers followed on a branch that is not yet proven better: 16 MB of ids.
const MAX_CANDIDATE: usize = 500_000;

/// Where this node's chain stands when a plan is begun.
pub struct Start {
    /// Its tip.
    pub tip: Tip,
    /// Its locator.
    pub locator: Vec<BlockId>,
}

impl Start {
    /// Reads it from the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(chain: &dyn ChainSnapshot) -> Result<Self, StoreError> {
        Ok(Self {
            tip: chain.tip()?,
            locator: locator(chain)?,
        })
    }
}

/// A peer's branch as far as its headers were judged.
pub struct Candidate {
    ours: Tip,
    chain: HeaderChain,
    /// The blocks after the fork point, the lowest first.
    ids: Vec<BlockId>,
    is_extension: bool,
    ended: bool,
    refused: Option<(BlockId, BlockError)>,
}

/// What a page of headers amounts to.
pub enum Page {
    /// Nothing that this node does not have.
    Known,
    /// A branch.
    Candidate(Box<Candidate>),
}

impl Candidate {
    /// Judges the first page of headers after this node's locator.
    ///
    /// # Errors
    /// When the headers are no chain on this one, break a rule, or the store fails.
    pub fn begin(
        store: &Arc<dyn ChainStore>,
        params: &ChainParams,
        headers: &[Header],
        now: Timestamp,
    ) -> Result<Page, SessionError> {
        let snapshot = store.snapshot()?;
        let mut fresh = headers;
        // This node may have adopted some of these blocks since it asked.
        while let Some((first, rest)) = fresh.split_first() {
            if !snapshot.is_active(&first.id())? {
                break;
            }
            fresh = rest;
        }
        let Some(first) = fresh.first() else {
            return Ok(Page::Known);
        };
        let previous = first.previous;
        if !snapshot.is_active(&previous)? {
            return Err(SessionError::Unlinked { previous });
        }
        let chain = match HeaderChain::ending_at(&*snapshot, params, previous) {
            Ok(chain) => chain,
            Err(ValidationError::Store(error)) => return Err(error.into()),
            Err(ValidationError::Rule(_)) => return Err(SessionError::Unlinked { previous }),
        };
        let ours = snapshot.tip()?;
        let mut candidate = Self {
            ours,
            is_extension: previous == ours.id,
            chain,
            ids: Vec::new(),
            ended: false,
            refused: None,
        };
        candidate.extend(params, fresh, now)?;
        // Those left out count too: the page was full all the same.
        candidate.ended = headers.len() < MAX_HEADERS || candidate.refused.is_some();
        Ok(Page::Candidate(Box::new(candidate)))
    }

    /// Judges the next page of headers of the same branch; a short page is its last.
    ///
    /// # Errors
    /// When a header breaks a rule, or the branch grows too long.
    pub fn extend(
        &mut self,
        params: &ChainParams,
        headers: &[Header],
        now: Timestamp,
    ) -> Result<(), SessionError> {
        self.ended = headers.len() < MAX_HEADERS;
        for header in headers {
            if self.is_enough() {
                break;
            }
            match self.chain.push(params, header, Some(now)) {
                Ok(tip) => self.ids.push(tip.id),
                Err(error) if error.verdict() == Verdict::NotYet => {
                    self.ended = true;
                    self.refused = Some((header.id(), error));
                    break;
                }
                Err(error) => {
                    let id = header.id();
                    return Err(SessionError::BadBlock { id, error });
                }
            }
        }
        if self.ids.len() > MAX_CANDIDATE {
            return Err(SessionError::TooLarge {
                blocks: self.ids.len(),
            });
        }
        Ok(())
    }

    /// Whether nothing more need be judged: an extension takes all of a page, a fork only
    /// what makes it the better chain, so that it is adopted in one step.
    fn is_enough(&self) -> bool {
        !self.is_extension && self.is_better()
    }

    /// Whether its work beats this node's chain.
    pub fn is_better(&self) -> bool {
        !self.ids.is_empty() && self.chain.tip().is_better_than(&self.ours)
    }

    /// Whether the peer has no more headers.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it only adds to this node's chain.
    pub fn is_extension(&self) -> bool {
        self.is_extension
    }

    /// This node's tip when the branch was begun, which an extension follows.
    pub fn base(&self) -> Tip {
        self.ours
    }

    /// Takes out the blocks judged so far.
    pub fn take_ids(&mut self) -> Vec<BlockId> {
        std::mem::take(&mut self.ids)
    }

    /// The blocks, the lowest first.
    pub fn ids(&self) -> &[BlockId] {
        &self.ids
    }

    /// Where the judged headers end.
    pub fn tip(&self) -> Tip {
        self.chain.tip()
    }

    /// The header that is too early to be judged, if that is where it ended.
    pub fn refused(self) -> Option<(BlockId, BlockError)> {
        self.refused
    }

    /// A locator for the headers after the last one judged. Should the peer have left this
    /// branch meanwhile, its answer begins elsewhere.
    pub fn locator(&self, start: &Start) -> Vec<BlockId> {
        let mut ids = vec![self.chain.tip().id];
        // Genesis stands last in the node's own locator and is kept.
        let keep = MAX_LOCATOR - 1;
        let skip = start.locator.len().saturating_sub(keep);
        ids.extend(&start.locator[skip..]);
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, TestChain, World, easy_params};

    /// The plan for a peer's chain, which begins with this node's.
    fn begin(ours: &TestChain, theirs: &TestChain) -> Result<Page, SessionError> {
        let headers: Vec<Header> = theirs.blocks.iter().map(|block| block.header).collect();
        let world = World::with_chain(ours);
        Candidate::begin(&world.env.store, &ours.params, &headers, NOW)
    }

    fn candidate(ours: &TestChain, theirs: &TestChain) -> Candidate {
        match begin(ours, theirs) {
            Ok(Page::Candidate(candidate)) => *candidate,
            Ok(Page::Known) => panic!("it is known"),
            Err(error) => panic!("{error}"),
        }
    }

    fn chain(blocks: usize, to: u8) -> TestChain {
        TestChain::new(&easy_params()).and(blocks, to)
    }

    #[test]
    fn an_extension_takes_all_of_a_page_and_a_fork_what_makes_it_better() {
        let base = chain(2, 1);
        let ours = base.clone().and(2, 2);
        let extension = candidate(&ours, &ours.clone().and(5, 3));
        assert!(extension.is_extension() && extension.is_better() && extension.has_ended());
        assert_eq!((extension.base(), extension.ids().len()), (ours.tip(), 5));
        let theirs = base.and(5, 3);
        let mut fork = candidate(&ours, &theirs);
        assert!(!fork.is_extension() && fork.is_better());
        let (ids, tip) = (fork.take_ids(), fork.tip());
        assert!(tip.is_better_than(&ours.tip()) && (2..=3).contains(&ids.len()));
        assert_eq!(ids.last(), Some(&tip.id));
        assert!(fork.ids().is_empty());
        assert!(matches!(begin(&ours, &chain(2, 1)), Ok(Page::Known)));
    }

    #[test]
    fn a_fork_that_is_not_better_is_told_apart() {
        let base = chain(2, 1);
        let ours = base.clone().and(3, 2);
        let worse = candidate(&ours, &base.and(2, 3));
        assert!(!worse.is_better() && worse.has_ended());
        assert_eq!(worse.ids().len(), 2);
    }

    #[test]
    fn the_longest_locator_with_one_id_more_in_front_stays_as_long() {
        let candidate = candidate(&chain(1, 1), &chain(3, 1));
        for length in [MAX_LOCATOR - 1, MAX_LOCATOR] {
            let start = Start {
                tip: candidate.base(),
                locator: (0..length).map(|byte| BlockId([byte as u8; 32])).collect(),
            };
            let ids = candidate.locator(&start);
            assert_eq!(ids.len(), MAX_LOCATOR);
            assert_eq!(ids[0], candidate.tip().id);
            assert_eq!(ids.last(), start.locator.last());
        }
    }

    #[test]
    fn a_peer_has_no_more_headers_once_a_page_is_not_full() {
        let ours = chain(1, 1);
        let theirs = ours.clone().and(MAX_HEADERS + 1, 2);
        let headers: Vec<Header> = theirs.blocks.iter().map(|block| block.header).collect();
        let world = World::with_chain(&ours);
        let begin = |page: &[Header]| {
            let (store, params) = (&world.env.store, &ours.params);
            match Candidate::begin(store, params, page, NOW) {
                Ok(Page::Candidate(candidate)) => candidate,
                _ => panic!("it is a branch"),
            }
        };
        let news = &headers[1..];
        assert!(!begin(&news[..MAX_HEADERS]).has_ended());
        assert!(begin(&news[..MAX_HEADERS - 1]).has_ended());
        assert!(!begin(&headers[..MAX_HEADERS]).has_ended(), "one was known");
        let mut candidate = begin(&news[..1]);
        for (page, is_last) in [(&news[1..], false), (&[], true)] {
            candidate.extend(&ours.params, page, NOW).unwrap();
            assert_eq!(candidate.has_ended(), is_last, "{} headers", page.len());
        }
    }

    #[test]
    fn a_header_that_breaks_a_rule_is_its_senders_fault_and_one_that_is_early_is_nobodys() {
        let ours = chain(1, 1);
        let theirs = ours.clone().and(2, 2);
        let mut candidate = candidate(&ours, &theirs);
        let mut header = theirs.mine(Vec::new(), crate::testing::address(3)).header;
        header.height.0 += 1;
        let refused = candidate.extend(&ours.params, &[header], NOW);
        let id = header.id();
        assert!(matches!(refused, Err(SessionError::BadBlock { id: bad, .. }) if bad == id));
        assert_eq!(candidate.ids().len(), 2);
    }

    #[test]
    fn a_branch_that_grows_too_long_is_given_up() {
        let mut candidate = candidate(&chain(1, 1), &chain(2, 1));
        candidate.ids = vec![BlockId::default(); MAX_CANDIDATE];
        assert!(candidate.extend(&easy_params(), &[], NOW).is_ok());
        candidate.ids.push(BlockId::default());
        let refused = candidate.extend(&easy_params(), &[], NOW);
        assert!(matches!(refused, Err(SessionError::TooLarge { .. })));
    }
}
