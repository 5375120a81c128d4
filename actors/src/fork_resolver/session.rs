//! One connection to a peer's block server: the greeting, requests and answers, and the
//! deadlines on all of them. It knows messages, not chains, and judges no block.
//!
//! The listener speaks first. Nothing is sent before a valid Hello of this network, so
//! that a forged status cannot make this node write to some other service.

use crate::{
    env::{BoxStream, Env},
    frames::{FrameError, read_frame, write_frame},
};
use mvb_protocol::{
    block::{Block, Header},
    chain::{StoreError, Tip},
    hash::BlockId,
    params::ChainParams,
    validate::BlockError,
    wire::{
        Announcement, GetBlocks, GetHeaders, Hello, MAX_HEADERS, MAX_STATUS_BYTES, MessageType,
        Request, Response, WIRE_VERSION, WireError, max_response_bytes,
    },
};
use std::{
    cell::Cell,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, ReadBuf},
    time::{Instant, timeout, timeout_at},
};

/// The most announcements a peer may interleave with its answers.
const MAX_ANNOUNCEMENTS: u32 = 256;

/// How long a peer may take. A slow line is fine, a peer that trickles is not.
#[derive(Clone, Debug)]
pub struct Deadlines {
    /// To accept a connection.
    pub connect: Duration,
    /// To say Hello.
    pub hello: Duration,
    /// Without a single byte while an answer is due.
    pub silence: Duration,
    /// For a whole answer, beside the time its bytes need at `least_bytes_per_second`.
    pub answer: Duration,
    /// The slowest line worth waiting for.
    pub least_bytes_per_second: u32,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            hello: Duration::from_secs(3),
            silence: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            least_bytes_per_second: 16 << 10,
        }
    }
}

/// Why a session ended before its work was done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The peer took too long.
    #[error("no {what} in time")]
    Timeout {
        /// What was due.
        what: &'static str,
    },
    /// The connection broke, or a frame was too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message could not be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer is this node itself.
    #[error("connected to this node itself")]
    Echo,
    /// The peer is of another network.
    #[error("the peer runs {differences}")]
    OtherNetwork {
        /// In which parameters, theirs and ours.
        differences: String,
    },
    /// The peer speaks other versions.
    #[error("the peer speaks versions {least} to {greatest}, expected {WIRE_VERSION}")]
    Version {
        /// The least it speaks.
        least: u8,
        /// The greatest it speaks.
        greatest: u8,
    },
    /// The peer sent what was not asked for.
    #[error("got {got}, expected {expected}")]
    Unrequested {
        /// What came.
        got: String,
        /// What was due.
        expected: String,
    },
    /// Its headers do not begin on this node's chain.
    #[error("headers follow {previous:.8}, which is not on this chain")]
    Unlinked {
        /// What they follow.
        previous: BlockId,
    },
    /// A header or a block breaks a rule.
    #[error("block {id:.8}: {error}")]
    BadBlock {
        /// The block.
        id: BlockId,
        /// The rule.
        error: BlockError,
    },
    /// Its chain is not what it claimed.
    #[error("claimed tip {claimed:.8} in its hello, but its headers do not lead there")]
    Unproven {
        /// What it claimed.
        claimed: BlockId,
    },
    /// It does not have a block of its own chain, or no longer.
    #[error("block {id:.8} is not there")]
    NotFound {
        /// The block.
        id: BlockId,
    },
    /// Its branch needs more memory than is spared for one.
    #[error("a branch of {blocks} blocks is too large to hold")]
    TooLarge {
        /// How many blocks it has so far.
        blocks: usize,
    },
    /// This node's chain moved each time a plan was made.
    #[error("this chain moved too often to follow the peer's")]
    Moved,
    /// This node's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

/// What follows from the end of a session for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// It did what it should.
    Fine {
        /// Whether any of its blocks were adopted.
        adopted: bool,
    },
    /// It could not be reached, or the connection broke.
    Unreachable,
    /// It was reached, but could not or would not deliver.
    Failed,
    /// It did what no honest peer does.
    Misbehaved,
    /// This node failed; nothing is said of the peer.
    OwnFault,
}

impl SessionError {
    /// What follows for the peer.
    pub fn conclusion(&self) -> Conclusion {
        use mvb_protocol::validate::Verdict;
        match self {
            Self::Connect(_) | Self::Frame(FrameError::Closed | FrameError::Io(_)) => {
                Conclusion::Unreachable
            }
            Self::BadBlock { error, .. } if error.verdict() == Verdict::NotYet => {
                Conclusion::Failed
            }
            Self::Timeout { .. }
            | Self::OtherNetwork { .. }
            | Self::Version { .. }
            | Self::Wire(WireError::Version { .. } | WireError::NotMvb)
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::Moved => Conclusion::Failed,
            Self::Frame(FrameError::Length { .. })
            | Self::Wire(_)
            | Self::Echo
            | Self::Unrequested { .. }
            | Self::Unlinked { .. }
            | Self::BadBlock { .. }
            | Self::Unproven { .. } => Conclusion::Misbehaved,
            Self::Store(_) | Self::Stopping => Conclusion::OwnFault,
        }
    }
}

/// An open connection after the greeting.
pub struct Session {
    stream: BufReader<Metered>,
    meter: Rc<Meter>,
    params: Arc<ChainParams>,
    deadlines: Deadlines,
    announcements: u32,
}

impl Session {
    /// Connects and reads the listener's Hello. Nothing has been sent yet.
    ///
    /// # Errors
    /// When the peer cannot be reached in time or is no peer of this network.
    pub async fn dial(
        env: &Env,
        peer: SocketAddr,
        deadlines: &Deadlines,
    ) -> Result<(Self, Hello), SessionError> {
        let late = |what| move |_| SessionError::Timeout { what };
        let stream = timeout(deadlines.connect, env.net.connect(peer))
            .await
            .map_err(late("connection"))?
            .map_err(SessionError::Connect)?;
        let meter = Rc::new(Meter {
            bytes: Cell::new(0),
            last: Cell::new(Instant::now()),
        });
        let mut stream = BufReader::new(Metered {
            stream,
            meter: meter.clone(),
        });
        let frame = timeout(deadlines.hello, read_frame(&mut stream, MAX_STATUS_BYTES))
            .await
            .map_err(late("hello"))??;
        let hello = Hello::from_bytes(&frame)?;
        if hello.node == env.node {
            return Err(SessionError::Echo);
        }
        let differences = env.params.differences(&hello.announcement.params);
        if !differences.is_empty() {
            return Err(SessionError::OtherNetwork {
                differences: differences.join("; "),
            });
        }
        if !hello.is_compatible() {
            return Err(SessionError::Version {
                least: hello.least_version,
                greatest: hello.greatest_version,
            });
        }
        let session = Self {
            stream,
            meter,
            params: env.params.clone(),
            deadlines: deadlines.clone(),
            announcements: 0,
        };
        Ok((session, hello))
    }

    /// Answers the listener's Hello with this node's.
    ///
    /// # Errors
    /// When the peer does not take it.
    pub async fn greet(&mut self, env: &Env, tip: Tip) -> Result<(), SessionError> {
        let hello = Hello {
            least_version: WIRE_VERSION,
            greatest_version: WIRE_VERSION,
            features: 0,
            node: env.node,
            announcement: Announcement {
                params: (*env.params).clone(),
                tip,
            },
        };
        self.write(&hello.to_bytes()).await
    }

    /// Asks for the headers after a locator.
    ///
    /// # Errors
    /// When the peer is too slow or answers something else.
    pub async fn headers(&mut self, locator: Vec<BlockId>) -> Result<Vec<Header>, SessionError> {
        let request = Request::GetHeaders(GetHeaders {
            locator,
            limit: MAX_HEADERS as u16,
        });
        self.write(&request.to_frame()).await?;
        let pace = self.pace();
        let frame = self.answer(&pace, "headers").await?;
        match Response::from_frame(&frame, &self.params)? {
            Response::Headers(headers) => Ok(headers.headers),
            other => Err(unrequested(&other, "headers")),
        }
    }

    /// Asks for blocks; their answers are read one by one with [`Self::block_frame`].
    ///
    /// # Errors
    /// When the peer does not take the request.
    pub async fn ask_blocks(&mut self, ids: Vec<BlockId>) -> Result<(), SessionError> {
        let request = Request::GetBlocks(GetBlocks { ids });
        self.write(&request.to_frame()).await
    }

    /// The next answer to [`Self::ask_blocks`], not decoded yet.
    ///
    /// # Errors
    /// When the peer is too slow.
    pub async fn block_frame(&mut self, pace: &Pace) -> Result<Vec<u8>, SessionError> {
        self.answer(pace, "block").await
    }

    /// The beginning of a wait for answers.
    pub fn pace(&self) -> Pace {
        Pace {
            started: Instant::now(),
            bytes: self.meter.bytes.get(),
        }
    }

    /// The next frame that is no announcement.
    async fn answer(&mut self, pace: &Pace, what: &'static str) -> Result<Vec<u8>, SessionError> {
        loop {
            let frame = self.read(pace, what).await?;
            if frame.first() != Some(&(MessageType::Announcement as u8)) {
                return Ok(frame);
            }
            self.announcements += 1;
            if self.announcements > MAX_ANNOUNCEMENTS {
                return Err(SessionError::Unrequested {
                    got: "too many announcements".to_owned(),
                    expected: what.to_owned(),
                });
            }
        }
    }

    async fn read(&mut self, pace: &Pace, what: &'static str) -> Result<Vec<u8>, SessionError> {
        let most = max_response_bytes(&self.params);
        let (meter, deadlines) = (self.meter.clone(), self.deadlines.clone());
        meter.last.set(Instant::now());
        let frame = read_frame(&mut self.stream, most);
        match pace.keep(&meter, &deadlines, frame).await {
            Some(frame) => Ok(frame?),
            None => Err(SessionError::Timeout { what }),
        }
    }

    async fn write(&mut self, payload: &[u8]) -> Result<(), SessionError> {
        timeout(
            self.deadlines.silence,
            write_frame(&mut self.stream, payload),
        )
        .await
        .map_err(|_| SessionError::Timeout {
            what: "room for a request",
        })?
        .map_err(|error| FrameError::Io(error).into())
    }
}

/// Reads the answer for one id: the block, with the body its header commits to.
///
/// # Errors
/// When the answer is another block, another body, or that there is none.
pub fn expect_block(
    frame: &[u8],
    id: BlockId,
    params: &ChainParams,
) -> Result<Arc<Block>, SessionError> {
    let block = match Response::from_frame(frame, params)? {
        Response::Block(block) if block.id() == id => block,
        Response::NotFound(missing) if missing == id => {
            return Err(SessionError::NotFound { id });
        }
        other => return Err(unrequested(&other, &format!("block {id:.8}"))),
    };
    let (got, expected) = (
        block.content_root(params.genesis_id(), &block.wids()),
        block.header.content_root,
    );
    if got != expected {
        let error = BlockError::ContentRoot { got, expected };
        return Err(SessionError::BadBlock { id, error });
    }
    Ok(Arc::new(*block))
}

fn unrequested(response: &Response, expected: &str) -> SessionError {
    let got = match response {
        Response::Headers(_) => "headers".to_owned(),
        Response::Block(block) => format!("block {:.8}", block.id()),
        Response::NotFound(id) => format!("no block {id:.8}"),
        Response::Accepted(_) | Response::Refused(_) => "an answer about a payment".to_owned(),
        Response::Announcement(_) => "an announcement".to_owned(),
    };
    SessionError::Unrequested {
        got,
        expected: expected.to_owned(),
    }
}

/// From when on a peer is expected to deliver.
pub struct Pace {
    started: Instant,
    bytes: u64,
}

impl Pace {
    /// Waits for `work` while the peer keeps up; `None` once it does not.
    async fn keep<T>(
        &self,
        meter: &Meter,
        deadlines: &Deadlines,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let bytes = meter.bytes.get().saturating_sub(self.bytes);
            let rate = u64::from(deadlines.least_bytes_per_second.max(1));
            let earned = Duration::from_millis(bytes.saturating_mul(1_000) / rate);
            let whole = self.started + deadlines.answer + earned;
            let due = whole.min(meter.last.get() + deadlines.silence);
            // A deadline that bytes have moved meanwhile is looked at again.
            match timeout_at(due, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if meter.bytes.get().saturating_sub(self.bytes) == bytes => return None,
                Err(_) => {}
            }
        }
    }
}

/// How much was received, and when last.
struct Meter {
    bytes: Cell<u64>,
    last: Cell<Instant>,
}

/// A stream whose received bytes are counted.
struct Metered {
    stream: BoxStream,
    meter: Rc<Meter>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let read = buffer.filled().len().saturating_sub(before) as u64;
        if read > 0 {
            let bytes = &self.meter.bytes;
            bytes.set(bytes.get().saturating_add(read));
            self.meter.last.set(Instant::now());
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
