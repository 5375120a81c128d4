//! The payments that a reorg took out of the chain and did not put back into it: found and
//! verified on a worker. Their blocks were valid once, so most signatures are known; those
//! forgotten since are verified again, because nothing else makes a payment verified.

use crate::{env::Env, messages::TipChanged};
use mvb_protocol::{
    hash::{TxId, Wid},
    transaction::{Named, Transaction},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

/// The payments that return, the lowest block's first, up to `most` bytes.
pub(super) fn verified_payments(
    env: &Env,
    reorg: TipChanged,
    most: usize,
) -> impl Future<Output = Vec<Named>> + 'static {
    let (genesis, verified) = (env.params.genesis_id(), env.verified.clone());
    let parallel = env.workers.parallel();
    env.compute(move || {
        let transactions = disconnected(&reorg, most);
        let results: Vec<OnceLock<Named>> = transactions.iter().map(|_| OnceLock::new()).collect();
        parallel.for_each(transactions.len(), &|index| {
            let transaction = transactions[index].clone();
            let is_known = |wid: &Wid| verified.contains(wid);
            if let Ok(valid) = transaction.verify_unless(genesis, is_known) {
                results[index].get_or_init(|| Named::new(Arc::new(valid)));
            }
        });
        let results = results.into_iter();
        results.filter_map(OnceLock::into_inner).collect()
    })
}

fn disconnected(reorg: &TipChanged, most: usize) -> Vec<&Transaction> {
    let connected: BTreeSet<&TxId> = reorg
        .connected
        .iter()
        .flat_map(|block| &*block.transaction_ids)
        .collect();
    let mut room = most;
    reorg
        .disconnected
        .iter()
        .rev()
        .flat_map(|block| block.block.transactions.iter().zip(&*block.transaction_ids))
        .filter(|(_, id)| !connected.contains(id))
        .map(|(transaction, _)| transaction)
        .take_while(|transaction| {
            let fits = transaction.size() <= room;
            room = room.saturating_sub(transaction.size());
            fits
        })
        .collect()
}
