//! One inbound session: Hello, Hello, then requests and replies in turn until either side
//! has enough. Everything it waits for has a deadline, and a reply is streamed in pieces of
//! 64 KiB or one block, so that a slow peer costs one task and one piece.

use super::{Deadlines, table::Activity};
use crate::{
    env::{BoxStream, Env},
    frames::{FrameError, put_frame, read_frame, write_frame, write_frames},
    messages::{Refusal, SubmitTransaction, TransactionSource},
    view::{ChainView, Counters},
};
use actix::Recipient;
use mvb_protocol::{
    chain::{ChainSnapshot, StoreError, Tip},
    hash::BlockId,
    locator::fork_point,
    numbers::Height,
    transaction::Transaction,
    wire::{
        Announcement, GetHeaders, Headers, Hello, MAX_ANNOUNCEMENTS, MAX_HEADERS,
        MAX_REQUEST_BYTES, MAX_STATUS_BYTES, Refused, Request, Response, WIRE_VERSION, WireError,
    },
};
use std::{future::Future, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// How many bytes of small blocks are read and written at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Why a session ended other than by the peer closing it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// The peer has nothing to ask any more.
    #[error("idle for {0:?}")]
    Idle(Duration),
    /// The peer was too slow.
    #[error("{what} took longer than {limit:?}")]
    Deadline {
        /// What it was too slow at.
        what: &'static str,
        /// The deadline.
        limit: Duration,
    },
    /// The stream failed, or a frame has a wrong length.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame is no message that belongs here.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer speaks other versions of the wire format.
    #[error("peer speaks wire versions {least} to {greatest}, expected {WIRE_VERSION}")]
    Version {
        /// Its least.
        least: u8,
        /// Its greatest.
        greatest: u8,
    },
    /// The peer is of another network. Our Hello has told it our parameters.
    #[error("peer is of another network: {}", differences.join("; "))]
    OtherNetwork {
        /// In what its parameters differ.
        differences: Vec<String>,
    },
    /// This node has dialled itself.
    #[error("connected to itself")]
    Myself,
    /// The peer offered a payment that only a sender who breaks the rules makes.
    #[error("peer offered an invalid payment")]
    InvalidPayment,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

impl SessionError {
    /// Whether the peer broke the protocol or a deadline.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Deadline { .. }
            | Self::Frame(FrameError::Length { .. } | FrameError::Io(_))
            | Self::Wire(_)
            | Self::InvalidPayment => true,
            Self::Idle(_)
            | Self::Frame(FrameError::Closed)
            | Self::Version { .. }
            | Self::OtherNetwork { .. }
            | Self::Myself
            | Self::Store(_)
            | Self::ShuttingDown => false,
        }
    }
}

/// A session to be run.
pub(super) struct Session {
    /// The node's world.
    pub env: Env,
    /// The other side.
    pub peer: SocketAddr,
    /// How long it may take for each thing.
    pub deadlines: Deadlines,
    /// The TransactionIntake.
    pub intake: Recipient<SubmitTransaction>,
    /// What the table of sessions goes by.
    pub activity: Rc<Activity>,
}

impl Session {
    /// Runs the session to its end.
    pub(super) async fn run(self, mut stream: BoxStream) -> Result<(), SessionError> {
        let result = self.talk(&mut stream).await;
        // What was written last should reach the peer, but it cannot hold this up.
        drop(timeout(self.deadlines.read, stream.shutdown()).await);
        match result {
            Err(SessionError::Frame(FrameError::Closed)) => Ok(()),
            result => result,
        }
    }

    async fn talk(&self, stream: &mut BoxStream) -> Result<(), SessionError> {
        let tip = self.greet(stream).await?;
        let mut news = News::new(&self.env, tip);
        self.activity.progress(Instant::now());
        loop {
            let request = self.read_request(stream, &mut news).await?;
            self.activity.sending(Instant::now());
            match request {
                Request::GetHeaders(request) => self.send_headers(stream, request).await?,
                Request::GetBlocks(request) => self.send_blocks(stream, request.ids).await?,
                Request::OfferTransaction(transaction) => {
                    self.take_offer(stream, *transaction).await?;
                }
            }
        }
    }

    /// Says Hello and waits for the other side's. Returns the tip it named.
    async fn greet(&self, stream: &mut BoxStream) -> Result<Tip, SessionError> {
        let params = &self.env.params;
        let tip = self.env.store.snapshot()?.tip()?;
        let ours = Hello {
            least_version: WIRE_VERSION,
            greatest_version: WIRE_VERSION,
            features: 0,
            node: self.env.node,
            announcement: Announcement {
                params: (**params).clone(),
                tip,
            },
        };
        self.write(stream, &ours.to_bytes()).await?;
        let hello = within("Hello", self.deadlines.hello, async {
            read_frame(stream, MAX_STATUS_BYTES).await
        });
        let theirs = Hello::from_bytes(&hello.await?)?;
        if theirs.node == self.env.node {
            return Err(SessionError::Myself);
        }
        if !theirs.is_compatible() {
            return Err(SessionError::Version {
                least: theirs.least_version,
                greatest: theirs.greatest_version,
            });
        }
        let differences = params.differences(&theirs.announcement.params);
        if !differences.is_empty() {
            Counters::count(&self.env.view.counters.other_network);
            return Err(SessionError::OtherNetwork { differences });
        }
        Ok(tip)
    }

    /// Waits for a request to begin, announcing each new tip meanwhile, then for the rest of it.
    async fn read_request(
        &self,
        stream: &mut BoxStream,
        news: &mut News,
    ) -> Result<Request, SessionError> {
        let mut first = [0];
        let idle = self.deadlines.idle;
        let deadline = Instant::now() + idle;
        let read = loop {
            tokio::select! {
                biased;
                tip = news.next() => self.announce(stream, tip).await?,
                read = stream.read(&mut first) => break read,
                () = sleep_until(deadline) => return Err(SessionError::Idle(idle)),
            }
        };
        if read.map_err(FrameError::from)? == 0 {
            return Err(FrameError::Closed.into());
        }
        let frame = within("a request", self.deadlines.read, async {
            read_frame(&mut first.chain(stream), MAX_REQUEST_BYTES).await
        });
        Ok(Request::from_frame(&frame.await?)?)
    }

    /// Tells of a new tip. That is no progress: a session that asks for nothing still ends.
    async fn announce(&self, stream: &mut BoxStream, tip: Tip) -> Result<(), SessionError> {
        let announcement = Response::Announcement(Box::new(Announcement {
            params: (*self.env.params).clone(),
            tip,
        }));
        self.write(stream, &announcement.to_frame()).await
    }

    async fn send_headers(
        &self,
        stream: &mut BoxStream,
        request: GetHeaders,
    ) -> Result<(), SessionError> {
        let frame = self
            .env
            .read(move |chain| Ok(Response::Headers(headers_after(chain, &request)?).to_frame()))
            .await?;
        self.reply(stream, &frame).await
    }

    /// Sends blocks, read and written several at a time where they are small.
    async fn send_blocks(
        &self,
        stream: &mut BoxStream,
        ids: Vec<BlockId>,
    ) -> Result<(), SessionError> {
        let ids: Arc<[BlockId]> = ids.into();
        let mut sent = 0;
        while sent < ids.len() {
            let rest = ids.clone();
            let (frames, count) = self
                .env
                .read(move |chain| block_frames(chain, &rest[sent..]))
                .await?;
            within("taking blocks", self.deadlines.write, async {
                Ok(write_frames(stream, &frames).await?)
            })
            .await?;
            sent += count;
            if sent < ids.len() {
                self.activity.sending(Instant::now());
            }
        }
        self.activity.progress(Instant::now());
        Ok(())
    }

    /// Hands an offered payment to the intake and tells what it says. A payment that waits
    /// already is accepted: a datagram may have been faster.
    async fn take_offer(
        &self,
        stream: &mut BoxStream,
        transaction: Transaction,
    ) -> Result<(), SessionError> {
        let id = transaction.id();
        let submitted = self.intake.send(SubmitTransaction {
            transaction: Arc::new(transaction),
            source: TransactionSource::Peer(self.peer),
        });
        let result = submitted.await.map_err(|_| SessionError::ShuttingDown)?;
        let misbehaved = matches!(&result, Err(refusal) if refusal.misbehaviour());
        let response = match result {
            Ok(id) | Err(Refusal::Duplicate { id }) => Response::Accepted(id),
            Err(refusal) => Response::Refused(Refused::new(id, &refusal.to_string())),
        };
        self.reply(stream, &response.to_frame()).await?;
        if misbehaved {
            return Err(SessionError::InvalidPayment);
        }
        Ok(())
    }

    async fn reply(&self, stream: &mut BoxStream, frame: &[u8]) -> Result<(), SessionError> {
        self.write(stream, frame).await?;
        self.activity.progress(Instant::now());
        Ok(())
    }

    async fn write(&self, stream: &mut BoxStream, frame: &[u8]) -> Result<(), SessionError> {
        within("taking a reply", self.deadlines.write, async {
            Ok(write_frame(stream, frame).await?)
        })
        .await?;
        Ok(())
    }
}

/// The tips a session has yet to tell of. Only the newest waits, so that a session that is
/// busy with an answer piles nothing up.
struct News {
    chain: watch::Receiver<ChainView>,
    told: Tip,
    left: u32,
}

impl News {
    fn new(env: &Env, told: Tip) -> Self {
        Self {
            chain: env.view.chain.subscribe(),
            told,
            left: MAX_ANNOUNCEMENTS,
        }
    }

    /// Waits for a tip better than the last one told, as often as a session may tell of one.
    async fn next(&mut self) -> Tip {
        let told = self.told;
        let better = self.chain.wait_for(|view| view.tip.is_better_than(&told));
        // What is waited for is a guard that holds the view up, so it is let go at once.
        let tip = better.await.map(|view| view.tip);
        match tip {
            Ok(tip) if self.left > 0 => {
                self.left -= 1;
                self.told = tip;
                tip
            }
            _ => std::future::pending().await,
        }
    }
}

/// The frames of the first of some blocks, at least of one, and of how many.
fn block_frames(
    chain: &dyn ChainSnapshot,
    ids: &[BlockId],
) -> Result<(Vec<u8>, usize), StoreError> {
    let mut frames = Vec::new();
    let mut count = 0;
    for id in ids {
        let frame = match chain.encoded_block(id)? {
            Some(encoded) => Response::encoded_block_frame(&encoded),
            None => Response::NotFound(*id).to_frame(),
        };
        put_frame(&mut frames, &frame);
        count += 1;
        if frames.len() >= PIECE_BYTES {
            break;
        }
    }
    Ok((frames, count))
}

/// Runs a step of a session with its deadline.
async fn within<T>(
    what: &'static str,
    limit: Duration,
    step: impl Future<Output = Result<T, FrameError>>,
) -> Result<T, SessionError> {
    match timeout(limit, step).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(SessionError::Deadline { what, limit }),
    }
}

/// The headers of the active chain after the last block in common with a locator.
fn headers_after(chain: &dyn ChainSnapshot, request: &GetHeaders) -> Result<Headers, StoreError> {
    let from = fork_point(chain, &request.locator)?.0;
    let count = usize::from(request.limit).min(MAX_HEADERS) as u64;
    let last = chain.tip()?.height.0.min(from.saturating_add(count));
    let mut headers = Vec::new();
    for height in from.saturating_add(1)..=last {
        let stored = match chain.active_id(Height(height))? {
            Some(id) => chain.header(&id)?,
            None => None,
        };
        let stored = stored.ok_or_else(|| StoreError::Damaged {
            what: format!("the active chain has no header at height {height}"),
        })?;
        headers.push(stored.header);
    }
    Ok(Headers { headers })
}
