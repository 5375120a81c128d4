//! A block on its way to the ChainManager, with what was found out about its body on the way.
//! Whoever reads it from the network checks the body to know whom to blame, and a long
//! download has its signatures verified before its turn; neither is done a second time. That a
//! check was made is told by types that only the rules can make.

use mvb_protocol::{
    block::{Block, Header},
    hash::Wid,
    transaction::Verified,
    validate::{CheckedBlock, Parallel, verify_signatures},
};
use std::sync::Arc;

/// A block of a branch.
#[derive(Clone, Debug)]
pub enum BranchBlock {
    /// Nothing is known of its body, or that it breaks a rule.
    Unchecked(Arc<Block>),
    /// The body is its header's and keeps the rules that need no signature check.
    Checked(CheckedBlock),
    /// And its signatures are right.
    Verified(Verified<CheckedBlock>),
}

impl BranchBlock {
    /// The block.
    pub fn block(&self) -> &Arc<Block> {
        match self {
            Self::Unchecked(block) => block,
            Self::Checked(checked) => checked.block(),
            Self::Verified(verified) => verified.block(),
        }
    }

    /// Verifies the signatures of those that are checked, all at once. What is wrong with a
    /// signature is not told here: such a block stays as it was.
    pub fn verify(
        blocks: Vec<Self>,
        is_known: &(dyn Fn(&Wid) -> bool + Sync),
        parallel: &dyn Parallel,
    ) -> Vec<Self> {
        let checked = blocks.iter().filter_map(|block| match block {
            Self::Checked(checked) => Some(checked.clone()),
            _ => None,
        });
        let mut results = verify_signatures(checked.collect(), is_known, parallel).into_iter();
        let verified = |block| match block {
            Self::Checked(checked) => match results.next() {
                Some(Ok(verified)) => Self::Verified(verified),
                _ => Self::Checked(checked),
            },
            other => other,
        };
        blocks.into_iter().map(verified).collect()
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.block().header
    }
}

impl From<Arc<Block>> for BranchBlock {
    fn from(block: Arc<Block>) -> Self {
        Self::Unchecked(block)
    }
}
