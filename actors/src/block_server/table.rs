//! Which sessions there are, and who must go when there are too many. A plain struct: the
//! block server hands in time and holds the sessions' tasks in it.
//!
//! An honest peer is served under a flood of connections. When there is no room and more
//! than half of the sessions have not said Hello, the oldest of these makes way for the
//! newcomer; else the one that has been idle longest, and only where all are at work one
//! without Hello. So those who say Hello and no more cannot leave newcomers too little time
//! to say theirs. When all are at work the newcomer is turned away.
//!
//! An address that lost a session which it had put to no use, though it had time to, is a
//! waster for a while. When the table is full a waster makes way before everybody else, at
//! once if nobody else can and it has asked for nothing yet, and takes the place of another
//! waster only, after a while. So those who hold sessions and come again whenever one ends
//! cost newcomers neither their place nor the server's time.

use crate::recent::Recent;
use std::{cell::Cell, collections::BTreeMap, net::IpAddr, rc::Rc, time::Duration};
use tokio::time::Instant;

/// How long a session that has said Hello may stand still before it makes way for another, and
/// one with a reply on its way may take nothing of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same for one that has taken all it asked for: it may be busy with that.
const PATIENCE_AT_WORK: Duration = Duration::from_secs(5);

/// How long a session has for its Hello when the table is full, and a waster's for anything.
const GRACE: Duration = Duration::from_millis(100);

/// How long a waster's session may stand still before it makes way for another waster's. They
/// would otherwise begin thousands of sessions a second.
const PATIENCE_AMONG_WASTERS: Duration = Duration::from_secs(2);

/// For how long an address that wasted a session is remembered.
const MEMORY: Duration = Duration::from_secs(30);

/// The most such addresses remembered.
const MAX_WASTERS: usize = 4_096;

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
    /// A reply is on its way to it.
    Sending,
}

impl Activity {
    /// The session got something done; from its first time on it has said Hello.
    pub fn progress(&self, now: Instant) {
        self.stage.set(match self.stage.get() {
            Stage::New => Stage::Greeted,
            Stage::Greeted | Stage::Served | Stage::Sending => Stage::Served,
        });
        self.last.set(now);
    }

    /// It has asked for something, and must now take it.
    pub fn sending(&self, now: Instant) {
        self.stage.set(Stage::Sending);
        self.last.set(now);
    }

    /// Whether the session has been of no use though it had time to, or takes no more of
    /// what it asked for.
    fn is_wasted(&self, now: Instant) -> bool {
        self.stage.get() != Stage::Served && self.still(now) >= GRACE
    }

    /// Whether it has yet to ask for anything.
    fn has_asked_nothing(&self) -> bool {
        matches!(self.stage.get(), Stage::New | Stage::Greeted)
    }

    /// For how long it has stood still.
    fn still(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last.get())
    }

    fn is_new(&self) -> bool {
        self.stage.get() == Stage::New
    }

    /// Whether it has stood still for longer than sessions may.
    fn is_idle(&self, now: Instant) -> bool {
        let patience = match self.stage.get() {
            Stage::New => return false,
            Stage::Greeted | Stage::Sending => PATIENCE,
            Stage::Served => PATIENCE_AT_WORK,
        };
        self.still(now) >= patience
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
    /// The addresses that wasted a session, and when.
    wasters: Recent<IpAddr, Instant>,
    next: SessionId,
}

#[derive(Debug)]
struct Entry<T> {
    address: IpAddr,
    of_waster: bool,
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
            wasters: Recent::new(MAX_WASTERS),
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
            self.least_useful(now, Duration::ZERO, |entry| entry.address == address)
        } else if self.sessions.len() < self.most {
            return Admission::Free;
        } else if self.is_waster(address, now) {
            self.stillest_waster(|activity| activity.still(now) >= PATIENCE_AMONG_WASTERS)
        } else {
            self.stillest_waster(|activity| activity.still(now) >= GRACE)
                .or_else(|| self.least_useful(now, GRACE, |_| true))
                .or_else(|| self.stillest_waster(Activity::has_asked_nothing))
        };
        match victim.and_then(|id| self.evict(id, now)) {
            Some(value) => Admission::Evicted(value),
            None => Admission::Refused,
        }
    }

    fn is_waster(&self, address: IpAddr, now: Instant) -> bool {
        let wasted = self.wasters.get(&address);
        wasted.is_some_and(|wasted| now.saturating_duration_since(*wasted) < MEMORY)
    }

    /// Takes a session out for another, and remembers its address if it was wasted.
    fn evict(&mut self, id: SessionId, now: Instant) -> Option<T> {
        let entry = self.sessions.get(&id)?;
        if entry.activity.is_wasted(now) {
            let waster = entry.address;
            let is_known = self.is_waster(waster, now);
            self.wasters.insert(waster, now);
            for (_, entry) in self.sessions.iter_mut().filter(|_| !is_known) {
                entry.of_waster |= entry.address == waster;
            }
        }
        self.remove(id)
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
            of_waster: self.is_waster(address, now),
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

    /// Who makes way among equals; none that has not said Hello is cut off within `grace`.
    fn least_useful(
        &self,
        now: Instant,
        grace: Duration,
        among: impl Fn(&Entry<T>) -> bool,
    ) -> Option<SessionId> {
        let all = || self.sessions.iter().filter(|(_, entry)| among(entry));
        let new = || {
            oldest(all().filter(|(_, Entry { activity, .. })| {
                activity.is_new() && activity.still(now) >= grace
            }))
        };
        let idle = || oldest(all().filter(|(_, entry)| entry.activity.is_idle(now)));
        let count = all().filter(|(_, entry)| entry.activity.is_new()).count();
        if 2 * count > all().count() {
            new().or_else(idle)
        } else {
            idle().or_else(new)
        }
    }

    /// The waster's session that has stood still longest, among some.
    fn stillest_waster(&self, among: impl Fn(&Activity) -> bool) -> Option<SessionId> {
        oldest(
            self.sessions
                .iter()
                .filter(|(_, entry)| entry.of_waster && among(&entry.activity)),
        )
    }
}

/// The session that got something done longest ago.
fn oldest<'a, T: 'a>(
    sessions: impl Iterator<Item = (&'a SessionId, &'a Entry<T>)>,
) -> Option<SessionId> {
    sessions
        .min_by_key(|(id, entry)| (entry.activity.last.get(), **id))
        .map(|(id, _)| *id)
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
        for newcomer in 10..14 {
            let admission = open(&mut table, elsewhere(newcomer), later);
            assert_eq!(
                admission,
                Admission::Evicted(SessionId::from(newcomer) - 10)
            );
        }
        // Half of the room is theirs, for the time that a Hello may take.
        let mut next = |host, now| open(&mut table, elsewhere(host), now);
        for newcomer in 14..18 {
            let admission = Admission::Evicted(SessionId::from(newcomer) - 10);
            assert_eq!(next(newcomer, later), admission);
        }
        assert_eq!(next(18, later), Admission::Refused);
        assert_eq!(next(18, later + GRACE), Admission::Evicted(8));
    }

    /// A thousand clients that came again whenever their session ended took all of the
    /// server's time and every second newcomer's place.
    #[tokio::test(start_paused = true)]
    async fn who_wasted_a_session_makes_way_for_others_and_takes_no_place_of_theirs() {
        let mut table = SessionTable::new(2, 2);
        let now = Instant::now();
        for host in 0..2 {
            open(&mut table, elsewhere(host), now);
        }
        // Nobody has had the time to say Hello.
        assert_eq!(open(&mut table, elsewhere(2), now), Admission::Refused);
        let later = now + GRACE;
        assert_eq!(open(&mut table, elsewhere(2), later), Admission::Evicted(0));
        assert_eq!(open(&mut table, elsewhere(0), later), Admission::Refused);
        assert_eq!(open(&mut table, elsewhere(3), later), Admission::Evicted(1));
        // Host 0 comes back when there is room, and host 4 takes that place, not host 3's.
        table.remove(2);
        assert_eq!(open(&mut table, elsewhere(0), later), Admission::Free);
        progress(&table, 4, later);
        let later = later + GRACE;
        assert_eq!(open(&mut table, elsewhere(4), later), Admission::Evicted(4));
        // Those who lost one wait, however long the others stand still, and not for ever.
        for _ in 0..9 {
            let later = later + PATIENCE_AT_WORK;
            assert_eq!(open(&mut table, elsewhere(0), later), Admission::Refused);
        }
        let later = later + MEMORY;
        assert_eq!(open(&mut table, elsewhere(0), later), Admission::Evicted(3));
    }

    /// Newcomers came in moments in which clients that were known to waste sessions had just taken
    /// what room there was, and had to try again.
    #[tokio::test(start_paused = true)]
    async fn a_newcomer_waits_for_no_waster_that_has_asked_for_nothing() {
        let mut table = SessionTable::new(2, 2);
        let now = Instant::now();
        for host in 0..4 {
            // The last two have the room that the first two lost.
            open(&mut table, elsewhere(host), now + u32::from(host) * GRACE);
        }
        let later = now + 3 * GRACE;
        for (session, host) in [(2, 0), (3, 1)] {
            table.remove(session);
            open(&mut table, elsewhere(host), later);
        }
        for id in 4..6 {
            progress(&table, id, later);
        }
        table.sessions[&5].activity.sending(later);
        assert_eq!(open(&mut table, elsewhere(8), later), Admission::Evicted(4));
        // One has a reply on its way, then taken, and nobody holds the other to be a waster.
        assert_eq!(open(&mut table, elsewhere(9), later), Admission::Refused);
        progress(&table, 5, later);
        assert_eq!(open(&mut table, elsewhere(9), later), Admission::Refused);
        let later = later + GRACE;
        assert_eq!(open(&mut table, elsewhere(9), later), Admission::Evicted(5));
    }

    #[tokio::test(start_paused = true)]
    async fn wasters_take_turns_and_do_not_press_each_other() {
        let mut table = SessionTable::new(2, 2);
        let mut now = Instant::now();
        for host in 0..6 {
            now += GRACE;
            assert_ne!(open(&mut table, elsewhere(host), now), Admission::Refused);
        }
        // Hosts 0 to 3 have lost theirs, and the last two leave.
        for id in 4..6 {
            table.remove(id);
        }
        for host in 0..2 {
            assert_eq!(open(&mut table, elsewhere(host), now), Admission::Free);
        }
        let soon = now + PATIENCE_AMONG_WASTERS / 2;
        assert_eq!(open(&mut table, elsewhere(2), soon), Admission::Refused);
        let later = now + PATIENCE_AMONG_WASTERS;
        assert_eq!(open(&mut table, elsewhere(2), later), Admission::Evicted(6));
    }

    /// Who takes what it asked for, and who had no time to, is not held to have wasted it.
    #[tokio::test(start_paused = true)]
    async fn only_who_had_time_and_did_nothing_with_it_is_a_waster() {
        for stage in [Stage::New, Stage::Greeted, Stage::Served, Stage::Sending] {
            let mut table = SessionTable::new(1, 1);
            let now = Instant::now();
            open(&mut table, HERE, now);
            table.sessions[&0].activity.stage.set(stage);
            let later = now + PATIENCE_AT_WORK;
            let admission = open(&mut table, elsewhere(1), later);
            assert_eq!(admission, Admission::Evicted(0), "{stage:?}");
            assert_eq!(table.is_waster(HERE, later), stage != Stage::Served);
        }
        let mut table = SessionTable::new(8, 1);
        let now = Instant::now();
        open(&mut table, HERE, now);
        for id in 0..8 {
            assert_eq!(open(&mut table, HERE, now), Admission::Evicted(id));
        }
        assert!(!table.is_waster(HERE, now));
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

    /// Clients that took nothing of what they asked for kept nearly all of a thousand others' room,
    /// for as long as honest ones may be busy.
    #[tokio::test(start_paused = true)]
    async fn a_session_that_takes_nothing_may_stand_still_no_longer_than_an_idle_one() {
        let mut table = SessionTable::new(2, 2);
        let now = Instant::now();
        for id in 0..2 {
            open(&mut table, elsewhere(id), now);
            progress(&table, id.into(), now);
            progress(&table, id.into(), now);
        }
        table.sessions[&1].activity.sending(now);
        let later = now + PATIENCE - GRACE;
        assert_eq!(open(&mut table, elsewhere(2), later), Admission::Refused);
        let later = now + PATIENCE;
        assert_eq!(open(&mut table, elsewhere(2), later), Admission::Evicted(1));
        assert!(table.is_waster(elsewhere(1), later));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_limited_each_and_together() {
        let mut table = SessionTable::new(4, 2);
        let now = Instant::now();
        for host in [1, 1, 2, 2] {
            assert_eq!(open(&mut table, elsewhere(host), now), Admission::Free);
        }
        let now = now + GRACE;
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
