//! The stream of events that keeps pages live: a word whenever the node has changed, at most
//! two a second. Pages then ask for themselves anew. The streams are few, each ends after a
//! while, and one that waits costs nothing.

use actix_web::web::Bytes;
use futures::{Stream, stream};
use mvb_node::snapshot::NodeSnapshot;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
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

struct Listener {
    snapshots: watch::Receiver<Arc<NodeSnapshot>>,
    ends: Instant,
    is_new: bool,
    _place: OwnedSemaphorePermit,
}

/// The words of one stream.
pub fn stream(
    snapshots: watch::Receiver<Arc<NodeSnapshot>>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let listener = Listener {
        snapshots,
        ends: Instant::now() + LIFE,
        is_new: true,
        _place: place,
    };
    stream::unfold(listener, |mut listener| async {
        let word = listener.next().await?;
        Some((Ok(Bytes::from(word)), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.is_new) {
            // What has changed since the page was made would be missed otherwise.
            let now = self.snapshots.borrow_and_update().clone();
            return Some(format!("retry: 2000\n\n{}", changed(&now)));
        }
        if Instant::now() >= self.ends {
            return None;
        }
        sleep(BETWEEN).await;
        match timeout_at(Instant::now() + SILENCE, self.snapshots.changed()).await {
            Ok(Ok(())) => Some(changed(&self.snapshots.borrow_and_update().clone())),
            // The node is gone.
            Ok(Err(_)) => None,
            Err(_) => Some(": still here\n\n".to_owned()),
        }
    }
}

fn changed(now: &NodeSnapshot) -> String {
    let data = json!({
        "height": now.chain.tip.height.0,
        "tip": now.chain.tip.id.to_string(),
        "waiting": now.mempool.waiting,
        "peers": now.peers.peers.len(),
    });
    format!("event: changed\ndata: {data}\n\n")
}
