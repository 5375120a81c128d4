//! The lab as its page shows it: looked at several times a second, with what was told last.

use anyhow::Result;
use mvb_explorer::lab::{Shown, Told};
use mvb_node::lab::{Lab, LabError};
use std::{cell::RefCell, collections::VecDeque, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// How many heights the fork tree has.
const HEIGHTS: u64 = 24;

/// How many lines are told.
const TOLD: usize = 24;

/// How often the lab is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// What the page is made from.
pub struct Page {
    told: RefCell<VecDeque<Told>>,
    busy: RefCell<Option<String>>,
    shown: watch::Sender<Arc<Shown>>,
    block_time: Duration,
}

impl Page {
    /// Of a lab in which nothing was done yet.
    pub fn new(lab: &Lab, block_time: Duration) -> Result<Self> {
        let shown = look(lab, block_time, Vec::new(), None)?;
        Ok(Self {
            told: RefCell::default(),
            busy: RefCell::default(),
            shown: watch::Sender::new(Arc::new(shown)),
            block_time,
        })
    }

    /// Where it is read.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Shown>> {
        self.shown.subscribe()
    }

    /// Tells one thing more.
    pub fn tell(&self, told: Told) {
        let mut all = self.told.borrow_mut();
        all.push_back(told);
        let spare = all.len().saturating_sub(TOLD);
        all.drain(..spare);
    }

    /// Says which command is at work.
    pub fn set_busy(&self, command: Option<&str>) {
        *self.busy.borrow_mut() = command.map(str::to_owned);
    }

    /// Shows the lab as it is, for as long as it runs.
    pub async fn follow(&self, lab: &Lab) -> Result<()> {
        loop {
            self.renew(lab)?;
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Shows the lab as it is now.
    pub fn renew(&self, lab: &Lab) -> Result<(), LabError> {
        let told = self.told.borrow().iter().cloned().collect();
        let now = look(lab, self.block_time, told, self.busy.borrow().clone())?;
        self.shown.send_if_modified(|shown| {
            let is_new = **shown != now;
            if is_new {
                *shown = Arc::new(now);
            }
            is_new
        });
        Ok(())
    }
}

fn look(
    lab: &Lab,
    block_time: Duration,
    told: Vec<Told>,
    busy: Option<String>,
) -> Result<Shown, LabError> {
    Ok(Shown {
        block_seconds: block_time.as_secs_f64(),
        forest: lab.forest(HEIGHTS)?,
        picture: lab.picture()?,
        powers: (1..=lab.miners()).map(|miner| lab.power(miner)).collect(),
        sides: lab.sides(),
        people: lab.people(),
        told,
        busy,
    })
}
