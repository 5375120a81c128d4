//! Bodies whose signatures are verified before it is their turn to be connected, so that all
//! cores have work while the chain manager goes through the batch before them in order. What
//! was found right is remembered by witness id, and nothing else comes of it: every rule is
//! judged when they are connected.
//!
//! Only bodies that belong to headers with their work come here, so nobody has signatures
//! verified without it.

use crate::env::Env;
use futures::future::LocalBoxFuture;
use mvb_protocol::{
    block::Block,
    hash::BlockId,
    numbers::Height,
    validate::{CheckedBlock, verify_signatures},
};
use std::{future::Future, pin::pin, sync::Arc};

/// Bodies that are being verified.
pub(super) struct Coming {
    /// Which they are.
    pub keys: Vec<(Height, BlockId)>,
    /// The bodies.
    pub blocks: Vec<Arc<Block>>,
    verified: LocalBoxFuture<'static, ()>,
}

impl Coming {
    /// Begins to verify at once.
    pub(super) fn begin(env: &Env, keys: &[(Height, BlockId)], blocks: Vec<Arc<Block>>) -> Self {
        let (params, cache) = (env.params.clone(), env.verified.clone());
        let (parallel, bodies) = (env.workers.parallel(), blocks.clone());
        let verified = env.compute(move || {
            let checked = bodies.into_iter();
            let checked = checked.filter_map(|block| CheckedBlock::check(block, &params).ok());
            let is_known = |wid: &_| cache.contains(wid);
            let verified = verify_signatures(checked.collect(), &is_known, &*parallel);
            for block in verified.iter().flatten() {
                block.wids().iter().for_each(|wid| cache.insert(*wid));
            }
        });
        Self {
            keys: keys.to_vec(),
            blocks,
            verified: Box::pin(verified),
        }
    }

    /// Waits until they are verified.
    pub(super) async fn verified(&mut self) {
        (&mut self.verified).await;
    }
}

/// Does some work, and hands on what is verified meanwhile as soon as it is.
pub(super) async fn beside<T>(
    coming: &mut Option<Coming>,
    hand_on: impl FnOnce(Coming),
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if let Some(verifying) = coming {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = verifying.verified() => {}
        }
    }
    if let Some(verified) = coming.take() {
        hand_on(verified);
    }
    work.await
}
