//! The stream of events that keeps pages live: a word whenever the node has changed, at most
//! two a second. Pages then ask for themselves anew. The streams are few, each ends after a
//! while, and one that waits costs nothing.

use actix_web::web::Bytes;
use futures::{Stream, stream};
use mvb_node::snapshot::NodeSnapshot;
use serde_json::json;
use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep, timeout_at},
};

/// The most streams at once.
pub const MOST_STREAMS: usize = 32;

/// The least time between two events.
const BETWEEN: Duration = Duration::from_millis(500);

/// The most time between two words, so that either side notices when the other is gone.
const SILENCE: Duration = Duration::from_secs(15);

/// How long a stream lasts; a page that is still there opens the next.
const LIFE: Duration = Duration::from_secs(600);

/// A stream of them.
pub type Words = Pin<Box<dyn Stream<Item = Result<Bytes, Infallible>> + Send>>;

struct Listener<T> {
    snapshots: watch::Receiver<Arc<T>>,
    word: fn(&T) -> String,
    ends: Instant,
    is_new: bool,
    _place: OwnedSemaphorePermit,
}

/// The words of one stream: one whenever the snapshot is another, made by `word`.
pub fn stream<T: Send + Sync + 'static>(
    snapshots: watch::Receiver<Arc<T>>,
    word: fn(&T) -> String,
    place: OwnedSemaphorePermit,
) -> Words {
    let listener = Listener {
        snapshots,
        word,
        ends: Instant::now() + LIFE,
        is_new: true,
        _place: place,
    };
    Box::pin(stream::unfold(listener, |mut listener| async {
        let word = listener.next().await?;
        Some((Ok(Bytes::from(word)), listener))
    }))
}

impl<T> Listener<T> {
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.is_new) {
            // What has changed since the page was made would be missed otherwise.
            let now = self.snapshots.borrow_and_update().clone();
            return Some(format!("retry: 2000\n\n{}", (self.word)(&now)));
        }
        if Instant::now() >= self.ends {
            return None;
        }
        sleep(BETWEEN).await;
        match timeout_at(Instant::now() + SILENCE, self.snapshots.changed()).await {
            Ok(Ok(())) => Some((self.word)(&self.snapshots.borrow_and_update().clone())),
            // The node is gone.
            Ok(Err(_)) => None,
            Err(_) => Some(": still here\n\n".to_owned()),
        }
    }
}

/// What is told of a node.
pub fn of_node(now: &NodeSnapshot) -> String {
    changed(&json!({
        "height": now.chain.tip.height.0,
        "tip": now.chain.tip.id.to_string(),
        "waiting": now.mempool.waiting,
        "peers": now.peers.peers.len(),
    }))
}

/// The word for a change, with what pages may want to know of it.
pub fn changed(data: &serde_json::Value) -> String {
    format!("event: changed\ndata: {data}\n\n")
}
