//! One connection to a peer's block server: the greeting, requests and answers, and the
//! deadlines on all of them. It knows messages, not chains, and judges no block.
//!
//! The listener speaks first. Nothing is sent before a valid Hello of this network, so
//! that a forged status cannot make this node write to some other service.

use crate::{
    branch_block::BranchBlock,
    env::Env,
    fork_resolver::{
        error::SessionError,
        pace::{Deadlines, Meter, Metered, Pace},
    },
    frames::{FrameError, read_frame, write_frame},
};
use mvb_protocol::{
    block::Header,
    chain::Tip,
    hash::BlockId,
    mutant,
    params::ChainParams,
    validate::{BlockError, CheckedBlock},
    wire::{
        Announcement, GetBlocks, GetHeaders, Hello, MAX_ANNOUNCEMENTS, MAX_HEADERS,
        MAX_STATUS_BYTES, MessageType, Request, Response, WIRE_VERSION, max_response_bytes,
    },
};
use std::{net::SocketAddr, rc::Rc, sync::Arc};
use tokio::{io::BufReader, time::timeout};

/// How much of what has come is taken from the system at once.
const READ_BYTES: usize = 64 << 10;

/// An open connection after the greeting.
pub struct Session {
    stream: BufReader<Metered>,
    meter: Rc<Meter>,
    params: Arc<ChainParams>,
    deadlines: Deadlines,
    announcements: u32,
    /// The best tip announced since the last look.
    announced: Option<Tip>,
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
        meter: Rc<Meter>,
    ) -> Result<(Self, Hello), SessionError> {
        let late = |what| move |_| SessionError::NoBeginning { what };
        let stream = timeout(deadlines.connect, env.net.connect(peer))
            .await
            .map_err(late("connection"))?
            .map_err(SessionError::Connect)?;
        let mut stream = BufReader::with_capacity(READ_BYTES, Metered::new(stream, meter.clone()));
        let frame = timeout(deadlines.hello, read_frame(&mut stream, MAX_STATUS_BYTES))
            .await
            .map_err(late("hello"))??;
        meter.end_wait();
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
            announced: None,
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
        Pace::new(&self.meter)
    }

    /// The best tip announced since the last time this was asked.
    pub fn take_announced(&mut self) -> Option<Tip> {
        self.announced.take()
    }

    /// Waits for the peer to announce a tip while nothing is asked of it.
    ///
    /// # Errors
    /// When the connection ends or something else comes.
    pub async fn announcement(&mut self) -> Result<Tip, SessionError> {
        let frame = read_frame(&mut self.stream, MAX_STATUS_BYTES).await?;
        self.note_announcement(&frame, "nothing")
    }

    /// The next frame that is no announcement.
    async fn answer(&mut self, pace: &Pace, what: &'static str) -> Result<Vec<u8>, SessionError> {
        loop {
            let frame = self.read(pace, what).await?;
            if frame.first() != Some(&(MessageType::Announcement as u8)) {
                return Ok(frame);
            }
            self.note_announcement(&frame, what)?;
        }
    }

    fn note_announcement(
        &mut self,
        frame: &[u8],
        expected: &'static str,
    ) -> Result<Tip, SessionError> {
        let tip = match Response::from_frame(frame, &self.params)? {
            Response::Announcement(announcement) => announcement.tip,
            other => return Err(unrequested(&other, expected)),
        };
        self.announcements += 1;
        if self.announcements > MAX_ANNOUNCEMENTS {
            return Err(SessionError::Unrequested {
                got: "too many announcements".to_owned(),
                expected: expected.to_owned(),
            });
        }
        if self.announced.is_none_or(|best| tip.is_better_than(&best)) {
            self.announced = Some(tip);
        }
        Ok(tip)
    }

    async fn read(&mut self, pace: &Pace, what: &'static str) -> Result<Vec<u8>, SessionError> {
        let most = max_response_bytes(&self.params);
        let (meter, deadlines) = (self.meter.clone(), self.deadlines.clone());
        meter.begin_wait();
        let frame = read_frame(&mut self.stream, most);
        let kept = pace.keep(&meter, &deadlines, frame).await;
        meter.end_wait();
        match kept {
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
) -> Result<BranchBlock, SessionError> {
    let block = match Response::from_frame(frame, params)? {
        Response::Block(block) if block.id() == id => block,
        Response::NotFound(missing) if missing == id => {
            return Err(SessionError::NotFound { id });
        }
        other => return Err(unrequested(&other, &format!("block {id:.8}"))),
    };
    let block = Arc::new(*block);
    match CheckedBlock::check(block.clone(), params) {
        Ok(checked) => Ok(BranchBlock::Checked(checked)),
        Err(error @ BlockError::ContentRoot { .. }) if !mutant!(ForeignBodyCondemned) => {
            Err(SessionError::BadBlock { id, error })
        }
        // The block itself is at fault, which the chain manager finds and remembers.
        Err(_) => Ok(BranchBlock::Unchecked(block)),
    }
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
