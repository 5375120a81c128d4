//! One attempt to catch up with a peer, from the connection to its end, as a task of the
//! resolver. Every wait in it has a deadline, so that it always ends.

use super::{ForkResolver, SessionEvent, SessionReport};
use crate::fork_resolver::{
    bodies::Giver,
    download::{Download, Shared},
    error::SessionError,
    pace::{Deadlines, Meter},
    session::Session,
};
use actix::Addr;
use std::{net::SocketAddr, rc::Rc};

/// What an attempt is told at its start.
pub struct Attempt {
    /// What all sessions share.
    pub shared: Shared,
    /// How long the peer may take.
    pub deadlines: Deadlines,
    /// The peer.
    pub endpoint: SocketAddr,
    /// Whether the connection is wanted for the peer's announcements afterwards.
    pub is_kept: bool,
    /// What it receives, for those who watch.
    pub meter: Rc<Meter>,
    /// Who hears how far it is.
    pub resolver: Addr<ForkResolver>,
}

/// How an attempt ended.
pub struct Ending {
    /// The connection if it is kept, or why there was an early end.
    pub result: Result<Option<Session>, SessionError>,
    /// Whether any of the peer's blocks were adopted.
    pub adopted: bool,
}

impl Attempt {
    /// Makes the attempt.
    pub async fn run(self) -> Ending {
        let giver = self.shared.bodies.borrow_mut().giver(self.endpoint);
        let _release = Release(&self.shared, &giver);
        let result = self.catch_up(&giver).await;
        Ending {
            result,
            adopted: giver.adopted.get(),
        }
    }

    async fn catch_up(&self, giver: &Rc<Giver>) -> Result<Option<Session>, SessionError> {
        let env = &self.shared.env;
        let (mut session, hello) =
            Session::dial(env, self.endpoint, &self.deadlines, self.meter.clone()).await?;
        let claimed = hello.announcement.tip;
        self.report(self.endpoint, SessionEvent::Greeted(hello.node, claimed));
        let ours = env.view.chain.borrow().tip;
        let is_worth_it = claimed.is_better_than(&ours);
        if !is_worth_it && !self.is_kept {
            return Ok(None);
        }
        session.greet(env, ours).await?;
        if is_worth_it {
            // Bodies that one session delivered may be adopted by another.
            let on_report = |endpoint, event| self.report(endpoint, SessionEvent::Download(event));
            let shared = self.shared.clone();
            let download = Download::new(shared, &mut session, giver, claimed, &on_report);
            let claimed = download.run().await?;
            // Its whole chain was seen by now, and judged against the store, which is ahead of
            // the view while a block found here is being announced.
            let ours = env.read(|chain| chain.tip()).await?;
            if claimed.is_better_than(&ours) {
                let claimed = claimed.id;
                return Err(SessionError::Unproven { claimed });
            }
        }
        Ok(self.is_kept.then_some(session))
    }

    fn report(&self, endpoint: SocketAddr, event: SessionEvent) {
        self.resolver.do_send(SessionReport { endpoint, event });
    }
}

/// However an attempt ends, also when another one takes its place: what it was to fetch is for
/// others to fetch.
struct Release<'a>(&'a Shared, &'a Giver);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.bodies.borrow_mut().release(self.1);
    }
}

/// Hears a pinned peer's announcements, which may be all that comes from it: no datagram need
/// reach this node. Ends with the connection, at the latest when the peer is asked again.
pub async fn listen(mut session: Session, endpoint: SocketAddr, resolver: Addr<ForkResolver>) {
    while let Ok(tip) = session.announcement().await {
        let event = SessionEvent::Announced(tip);
        resolver.do_send(SessionReport { endpoint, event });
    }
}
