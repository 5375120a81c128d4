//! Which sessions there are, and who must go when there are too many. A plain struct: the
//! block server hands in time and holds the sessions' tasks in it.
//!
//! An honest peer is served under a flood of connections. When there is no room and more
//! than half of the sessions have not said Hello, the oldest of these makes way for the
//! newcomer; else the one that has been idle longest, and only where all are at work one
//! without Hello. So those who say Hello and no more cannot leave newcomers too little time
//! to say theirs. When all are at work the newcomer is turned away.

use std::{cell::Cell, collections::BTreeMap, net::IpAddr, rc::Rc, time::Duration};
use tokio::time::Instant;

/// How long a session that has said Hello may stand still before it makes way for another.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same for one that has asked for something and taken it: it may be busy with that.
const PATIENCE_AT_WORK: Duration = Duration::from_secs(5);

/// The number of a session in its table.
pub type SessionId = u64;

/// When a session last got something done, shared with its task.
#[derive(Debug)]
pub struct Activity {
    stage: Cell<Stage>,
    last: Cell<Instant>,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not said Hello.
    New,
    /// It has.
    Greeted,
    /// It has taken a reply, too.
    Served,
}

impl Activity {
    /// The session got something done; from its first time on it has said Hello.
    pub fn progress(&self, now: Instant) {
        self.stage.set(match self.stage.get() {
            Stage::New => Stage::Greeted,
            Stage::Greeted | Stage::Served => Stage::Served,
        });
        self.last.set(now);
    }

    fn is_new(&self) -> bool {
        self.stage.get() == Stage::New
    }

    /// Whether it has stood still for longer than sessions may.
    fn is_idle(&self, now: Instant) -> bool {
        let patience = match self.stage.get() {
            Stage::New => return false,
            Stage::Greeted => PATIENCE,
            Stage::Served => PATIENCE_AT_WORK,
        };
        now.saturating_duration_since(self.last.get()) >= patience
    }
}

/// Whether there is room for one more session.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission<T> {
    /// There is.
    Free,
    /// There is now; this one made way.
    Evicted(T),
    /// There is not.
    Refused,
}

/// The sessions, each with a value of the owner's.
#[derive(Debug)]
pub struct SessionTable<T> {
    most: usize,
    most_per_address: usize,
    sessions: BTreeMap<SessionId, Entry<T>>,
    per_address: BTreeMap<IpAddr, usize>,
    next: SessionId,
}

#[derive(Debug)]
struct Entry<T> {
    address: IpAddr,
    activity: Rc<Activity>,
    value: T,
}

impl<T> SessionTable<T> {
    /// An empty table with its limits.
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            most,
            most_per_address,
            sessions: BTreeMap::new(),
            per_address: BTreeMap::new(),
            next: 0,
        }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Makes room for one more session with `address`, if there is none.
    pub fn make_room(&mut self, address: IpAddr, now: Instant) -> Admission<T> {
        let of_address = self.per_address.get(&address).copied().unwrap_or(0);
        let victim = if of_address >= self.most_per_address {
            self.least_useful(now, |entry| entry.address == address)
        } else if self.sessions.len() >= self.most {
            self.least_useful(now, |_| true)
        } else {
            return Admission::Free;
        };
        match victim.and_then(|id| self.remove(id)) {
            Some(value) => Admission::Evicted(value),
            None => Admission::Refused,
        }
    }

    /// Adds a session; `begin` starts it.
    pub fn insert(
        &mut self,
        address: IpAddr,
        now: Instant,
        begin: impl FnOnce(SessionId, Rc<Activity>) -> T,
    ) {
        let id = self.next;
        self.next += 1;
        let activity = Rc::new(Activity {
            stage: Cell::new(Stage::New),
            last: Cell::new(now),
        });
        let value = begin(id, activity.clone());
        let entry = Entry {
            address,
            activity,
            value,
        };
        self.sessions.insert(id, entry);
        *self.per_address.entry(address).or_default() += 1;
    }

    /// Takes a session out. One that was evicted is no longer there.
    pub fn remove(&mut self, id: SessionId) -> Option<T> {
        let entry = self.sessions.remove(&id)?;
        if let Some(count) = self.per_address.get_mut(&entry.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&entry.address);
            }
        }
        Some(entry.value)
    }

    fn least_useful(&self, now: Instant, among: impl Fn(&Entry<T>) -> bool) -> Option<SessionId> {
        let all = || self.sessions.iter().filter(|(_, entry)| among(entry));
        let oldest = |wanted: &dyn Fn(&Activity) -> bool| {
            all()
                .filter(|(_, entry)| wanted(&entry.activity))
                .min_by_key(|(id, entry)| (entry.activity.last.get(), **id))
                .map(|(id, _)| *id)
        };
        let new = || oldest(&Activity::is_new);
        let idle = || oldest(&|activity| activity.is_idle(now));
        let count = all().filter(|(_, entry)| entry.activity.is_new()).count();
        if 2 * count > all().count() {
            new()
        } else {
            idle().or_else(new)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn elsewhere(host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 0, 1, host))
    }

    /// Adds a session whose value is its number, as the server would.
    fn open(
        table: &mut SessionTable<(SessionId, Rc<Activity>)>,
        address: IpAddr,
        now: Instant,
    ) -> Admission<SessionId> {
        let admission = match table.make_room(address, now) {
            Admission::Free => Admission::Free,
            Admission::Evicted((id, _)) => Admission::Evicted(id),
            Admission::Refused => return Admission::Refused,
        };
        table.insert(address, now, |id, activity| (id, activity));
        admission
    }

    fn progress(table: &SessionTable<(SessionId, Rc<Activity>)>, id: SessionId, now: Instant) {
        table.sessions[&id].activity.progress(now);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_without_hello_makes_way_before_any_other() {
        let mut table = SessionTable::new(8, 3);
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(open(&mut table, HERE, now), Admission::Free);
        }
        progress(&table, 0, now);
        let later = now + 10 * PATIENCE;
        assert_eq!(open(&mut table, HERE, later), Admission::Evicted(1));
        assert_eq!(open(&mut table, HERE, later), Admission::Evicted(2));
        assert_eq!(table.sessions.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_makes_way_but_none_that_is_at_work() {
        let mut table = SessionTable::new(8, 2);
        let now = Instant::now();
        for id in 0..2 {
            open(&mut table, HERE, now);
            progress(&table, id, now);
        }
        assert_eq!(open(&mut table, HERE, now), Admission::Refused);
        let later = now + PATIENCE;
        progress(&table, 0, later);
        assert_eq!(open(&mut table, HERE, later), Admission::Evicted(1));
    }

    /// A thousand slow clients that said Hello had taken all room but one place, which the
    /// next client took from an honest newcomer before that one's Hello was read.
    #[tokio::test(start_paused = true)]
    async fn those_who_said_hello_and_no_more_leave_newcomers_time_for_theirs() {
        let mut table = SessionTable::new(8, 8);
        let now = Instant::now();
        for host in 0..8 {
            open(&mut table, elsewhere(host), now);
            progress(&table, host.into(), now);
        }
        let later = now + PATIENCE;
        for newcomer in 0..4 {
            let admission = open(&mut table, elsewhere(newcomer), later);
            assert_eq!(admission, Admission::Evicted(newcomer.into()));
        }
        // Half of the room is theirs: the first of them had three others' time.
        assert_eq!(open(&mut table, HERE, later), Admission::Evicted(4));
        assert_eq!(open(&mut table, HERE, later), Admission::Evicted(8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_was_served_may_be_busy_for_longer_than_an_idle_one() {
        let mut table = SessionTable::new(2, 2);
        let now = Instant::now();
        for id in 0..2 {
            open(&mut table, HERE, now);
            progress(&table, id, now);
        }
        progress(&table, 0, now);
        let later = now + PATIENCE;
        assert_eq!(open(&mut table, HERE, later), Admission::Evicted(1));
        progress(&table, 2, later);
        assert_eq!(open(&mut table, HERE, later), Admission::Refused);
        let later = now + PATIENCE_AT_WORK;
        assert_eq!(open(&mut table, HERE, later), Admission::Evicted(0));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_limited_each_and_together() {
        let mut table = SessionTable::new(4, 2);
        let now = Instant::now();
        for host in [1, 1, 2, 2] {
            assert_eq!(open(&mut table, elsewhere(host), now), Admission::Free);
        }
        assert_eq!(open(&mut table, elsewhere(3), now), Admission::Evicted(0));
        assert_eq!(open(&mut table, elsewhere(2), now), Admission::Evicted(2));
        let open_now: usize = table.per_address.values().sum();
        assert_eq!((table.sessions.len(), open_now), (4, 4));
        for id in 0..8 {
            table.remove(id);
        }
        assert!(table.per_address.is_empty());
    }
}
