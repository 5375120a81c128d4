//! Bodies whose signatures are verified before it is their turn to be connected, so that all
//! cores have work while the chain manager goes through the batch before them in order. One
//! that breaks a rule is handed on as it came: it is the chain manager that refuses it.
//!
//! Only bodies that belong to headers with their work come here, so nobody has signatures
//! verified without it.

use crate::{branch_block::BranchBlock, env::Env};
use futures::future::LocalBoxFuture;
use mvb_protocol::{hash::BlockId, numbers::Height};
use std::{collections::VecDeque, future::Future, pin::pin};

/// How many answers are verified at a time. With one, the cores would have nothing to do
/// while the next is on its way.
const MOST: usize = 3;

/// Bodies, and which they are.
pub(super) type Came = Vec<((Height, BlockId), BranchBlock)>;

/// Answers that are being verified, in the order in which they came.
#[derive(Default)]
pub(super) struct Coming(VecDeque<Verifying>);

struct Verifying {
    keys: Vec<(Height, BlockId)>,
    blocks: LocalBoxFuture<'static, Vec<BranchBlock>>,
}

impl Coming {
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MOST
    }

    /// Begins to verify an answer at once.
    pub(super) fn begin(
        &mut self,
        env: &Env,
        keys: &[(Height, BlockId)],
        blocks: Vec<BranchBlock>,
    ) {
        let (cache, parallel) = (env.verified.clone(), env.workers.parallel());
        let verified = env.compute(move || {
            let is_known = |wid: &_| cache.contains(wid);
            BranchBlock::verify(blocks, &is_known, &*parallel)
        });
        self.0.push_back(Verifying {
            keys: keys.to_vec(),
            blocks: Box::pin(verified),
        });
    }

    /// Waits for the first answer; `None` without any. It may be given up and waited for again.
    pub(super) async fn next(&mut self) -> Option<Came> {
        let blocks = (&mut self.0.front_mut()?.blocks).await;
        let first = self.0.pop_front()?;
        Some(first.keys.into_iter().zip(blocks).collect())
    }

    /// Does some work, and hands on what is verified meanwhile as soon as it is.
    pub(super) async fn beside<T>(
        &mut self,
        hand_on: impl Fn(Came),
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            let came = tokio::select! {
                biased;
                done = &mut work => return done,
                came = self.next(), if !self.0.is_empty() => came,
            };
            came.into_iter().for_each(&hand_on);
        }
    }
}
