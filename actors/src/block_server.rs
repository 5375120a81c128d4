//! BlockServer: serves headers and blocks to whoever connects, and takes in offered
//! payments. It owns the inbound sessions and their limits.
//!
//! Each session is a task of its own with deadlines on everything it waits for; it reads
//! the chain through snapshots on a worker, so that nothing is held while the network is
//! slow. The actor only accepts, counts and ends sessions; it never talks itself. A session
//! that waits for a request tells of each new tip, which it learns from the view: it is
//! published once it is synced.

mod session;
mod table;

use crate::{
    env::{BoxStream, Env, Listener},
    messages::SubmitTransaction,
    view::Counters,
};
use actix::prelude::*;
use futures::stream;
use session::{Session, SessionError};
use std::{io, net::SocketAddr, rc::Rc, time::Duration};
use table::{Admission, SessionId, SessionTable};
use tokio::{task::JoinHandle, time::Instant};

/// How long to wait after accepting failed, for example for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(200);

/// What a BlockServer is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct BlockServerConfig {
    /// The most sessions at once.
    pub max_sessions: usize,
    /// The most sessions at once with one address; a laptop full of nodes shares one.
    pub max_sessions_per_address: usize,
    /// How long a session may take for each thing.
    pub deadlines: Deadlines,
}

impl Default for BlockServerConfig {
    fn default() -> Self {
        Self {
            max_sessions: 256,
            max_sessions_per_address: 64,
            deadlines: Deadlines::default(),
        }
    }
}

/// How long a session may take for each thing.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For the Hello of the other side.
    pub hello: Duration,
    /// For the rest of a request once it has begun.
    pub read: Duration,
    /// For one frame to be taken by the other side.
    pub write: Duration,
    /// Between a reply and the next request.
    pub idle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(5),
            read: Duration::from_secs(10),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// The actor.
pub struct BlockServer {
    env: Env,
    config: BlockServerConfig,
    listener: Rc<dyn Listener>,
    intake: Recipient<SubmitTransaction>,
    sessions: SessionTable<Running>,
    trouble: Option<io::ErrorKind>,
}

/// A session's task, which ends when this is dropped.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A session's task has ended by itself.
#[derive(Message)]
#[rtype(result = "()")]
struct SessionEnded(SessionId);

impl BlockServer {
    /// A server of the listener's port.
    pub fn new(
        env: Env,
        config: BlockServerConfig,
        listener: Rc<dyn Listener>,
        intake: Recipient<SubmitTransaction>,
    ) -> Self {
        Self {
            sessions: SessionTable::new(config.max_sessions, config.max_sessions_per_address),
            env,
            config,
            listener,
            intake,
            trouble: None,
        }
    }
}

impl Actor for BlockServer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let accepted = stream::unfold(
            (self.listener.clone(), false),
            async |(listener, failed)| {
                if failed {
                    tokio::time::sleep(BACK_OFF).await;
                }
                let accepted = listener.accept().await;
                let failed = accepted.is_err();
                Some((accepted, (listener, failed)))
            },
        );
        ctx.add_stream(accepted);
    }
}

impl StreamHandler<io::Result<(BoxStream, SocketAddr)>> for BlockServer {
    fn handle(&mut self, accepted: io::Result<(BoxStream, SocketAddr)>, ctx: &mut Self::Context) {
        match accepted {
            Ok((stream, peer)) => {
                self.trouble = None;
                self.open(stream, peer, ctx);
            }
            Err(error) => {
                if self.trouble.replace(error.kind()) != Some(error.kind()) {
                    tracing::warn!(%error, "cannot accept connections");
                }
            }
        }
    }
}

impl Handler<SessionEnded> for BlockServer {
    type Result = ();

    fn handle(&mut self, message: SessionEnded, _: &mut Self::Context) {
        self.sessions.remove(message.0);
        self.publish();
    }
}

impl BlockServer {
    /// Begins a session, if need be in the place of one that does nothing.
    fn open(&mut self, stream: BoxStream, peer: SocketAddr, ctx: &mut Context<Self>) {
        let refused = &self.env.view.counters.refused_connections;
        match self.sessions.make_room(peer.ip(), Instant::now()) {
            Admission::Free => {}
            Admission::Evicted(running) => {
                drop(running);
                Counters::count(refused);
            }
            Admission::Refused => {
                Counters::count(refused);
                return;
            }
        }
        let env = self.env.clone();
        let intake = self.intake.clone();
        let deadlines = self.config.deadlines;
        let server = ctx.address();
        self.sessions
            .insert(peer.ip(), Instant::now(), |id, activity| {
                let session = Session {
                    env: env.clone(),
                    peer,
                    deadlines,
                    intake,
                    activity,
                };
                Running(tokio::task::spawn_local(async move {
                    let ended = session.run(stream).await;
                    end(&env, peer, ended);
                    server.do_send(SessionEnded(id));
                }))
            });
        self.publish();
    }

    fn publish(&self) {
        let open = self.sessions.len() as u64;
        self.env.view.counters.open_sessions.set(open);
    }
}

/// Counts and tells why a session ended.
fn end(env: &Env, peer: SocketAddr, ended: Result<(), SessionError>) {
    let Err(error) = ended else { return };
    if error.is_failure() {
        Counters::count(&env.view.counters.failed_sessions);
    }
    tracing::debug!(%peer, %error, "session ended");
}

#[cfg(test)]
mod tests;
