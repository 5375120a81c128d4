//! A peer that a benchmark plays: it connects to a node's block server, says Hello and asks,
//! as any node does. What the node announces meanwhile is kept for whoever waits for it.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use super::processes::PATIENCE;
use anyhow::{Context as _, Result, bail};
use mvb_actors::frames::{read_frame, write_frame};
use mvb_node::system::fresh_node_id;
use mvb_protocol::{
    chain::Tip,
    params::ChainParams,
    transaction::Transaction,
    wire::{
        Announcement, Hello, MAX_STATUS_BYTES, Request, Response, WIRE_VERSION, max_response_bytes,
    },
};
use std::{collections::VecDeque, future::Future, net::Ipv4Addr, time::Instant};
use tokio::{net::TcpStream, time::timeout};

/// A connection to a node.
pub struct Client {
    /// The tip the node named in its Hello.
    pub greeted: Tip,
    stream: TcpStream,
    params: ChainParams,
    announced: VecDeque<(Instant, Tip)>,
}

impl Client {
    /// Connects to a port of this machine and exchanges Hellos.
    ///
    /// # Errors
    /// When nobody answers, or not as a node of this network does.
    pub async fn connect(port: u16, params: &ChainParams) -> Result<Self> {
        within(async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            stream.set_nodelay(true)?;
            let theirs = Hello::from_bytes(&read_frame(&mut stream, MAX_STATUS_BYTES).await?)?;
            let ours = Hello {
                least_version: WIRE_VERSION,
                greatest_version: WIRE_VERSION,
                features: 0,
                node: fresh_node_id()?,
                announcement: Announcement {
                    params: params.clone(),
                    tip: Tip::genesis(params.genesis_id()),
                },
            };
            write_frame(&mut stream, &ours.to_bytes()).await?;
            Ok(Self {
                greeted: theirs.announcement.tip,
                stream,
                params: params.clone(),
                announced: VecDeque::new(),
            })
        })
        .await
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask(&mut self, request: &Request) -> Result<Response> {
        self.write(request).await?;
        loop {
            match self.read().await? {
                (at, Response::Announcement(announcement)) => {
                    self.announced.push_back((at, announcement.tip));
                }
                (_, response) => return Ok(response),
            }
        }
    }

    /// Offers payments, all before the first answer is read, and refuses to go on unless each
    /// is accepted.
    ///
    /// # Errors
    /// When one is refused, or the node goes away.
    pub async fn offer(&mut self, payments: &[Transaction]) -> Result<()> {
        for payment in payments {
            let request = Request::OfferTransaction(Box::new(payment.clone()));
            match self.ask(&request).await? {
                Response::Accepted(_) => {}
                Response::Refused(refused) => bail!("a payment was refused: {}", refused.reason),
                other => bail!("got {other:?} for an offered payment"),
            }
        }
        Ok(())
    }

    /// Sends a request without waiting for its answer, which is passed over later.
    ///
    /// # Errors
    /// When the node goes away.
    pub async fn write(&mut self, request: &Request) -> Result<()> {
        within(async { Ok(write_frame(&mut self.stream, &request.to_frame()).await?) }).await
    }

    /// When the node said that it has this tip, or a better one: it says so once the disk has it.
    ///
    /// # Errors
    /// When it does not say so in time.
    pub async fn announced(&mut self, tip: impl Fn(&Tip) -> bool) -> Result<(Instant, Tip)> {
        loop {
            while let Some(announced) = self.announced.pop_front() {
                if tip(&announced.1) {
                    return Ok(announced);
                }
            }
            if let (at, Response::Announcement(announcement)) = self.read().await? {
                self.announced.push_back((at, announcement.tip));
            }
        }
    }

    async fn read(&mut self) -> Result<(Instant, Response)> {
        let most = max_response_bytes(&self.params);
        let frame = within(async { Ok(read_frame(&mut self.stream, most).await?) }).await?;
        let at = Instant::now();
        Ok((at, Response::from_frame(&frame, &self.params)?))
    }
}

async fn within<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, step)
        .await
        .context("a node does not answer")?
}
