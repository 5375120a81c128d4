//! What goes wrong while a run is in its chaos, and what people do all the same.

use super::{Broken, Run};
use crate::sim_env::EPOCH_MS;
use mvb_actors::env::RandomStream;
use mvb_protocol::{chain::StoreError, numbers::Timestamp};
use std::time::Duration;

/// How often the harness acts: breaks something, repairs it, pays.
pub(super) const BEAT: Duration = Duration::from_millis(250);

/// How long before its end the machines are cut apart, where they are to be, and besieged.
const LAST_ACT: Duration = Duration::from_secs(8);

/// How many beats pass between two checks of every machine.
const BEATS_PER_CHECK: u32 = 4;

impl Run {
    /// Everything goes wrong, and people pay all the same.
    pub(super) fn chaos(&mut self) -> Result<(), Broken> {
        self.cluster.weather().loss.set(self.profile.loss);
        self.cluster.weather().doubled.set(self.profile.doubled);
        let mut beat = 0;
        let mut is_last_act = false;
        while self.cluster.elapsed() < self.profile.chaos {
            self.advance(BEAT)?;
            self.repair_what_is_due();
            if self.happens(self.profile.partitions) {
                self.split();
            }
            if !is_last_act && self.cluster.elapsed() + LAST_ACT >= self.profile.chaos {
                is_last_act = true;
                self.begin_last_act();
            }
            if self.happens(self.profile.crashes) {
                self.crash_one();
            }
            if self.happens(self.profile.clock_jumps) {
                self.wind_a_clock();
            }
            if self.profile.disk_faults > 0.0 && self.happens(self.profile.disk_faults) {
                self.break_a_disk();
            }
            self.people_pay()?;
            beat += 1;
            if beat % BEATS_PER_CHECK == 0 {
                self.check_all()?;
            }
        }
        Ok(())
    }

    fn begin_last_act(&mut self) {
        self.underworld.siege.set(true);
        if self.profile.ends_among_strangers {
            for machine in 0..self.profile.nodes {
                self.cluster.crash(machine);
                self.cluster.boot(machine);
                self.count("power cuts");
            }
        }
        if self.profile.ends_apart {
            let half = self.any_half();
            self.cut_off(half, LAST_ACT + BEAT, false);
        }
    }

    /// Takes every fault back but the liars, who are to leave the chain itself alone.
    pub(super) fn repair_everything(&mut self) {
        self.cluster.weather().loss.set(0.0);
        self.cluster.weather().doubled.set(0.0);
        self.cluster.set_latency(Duration::from_millis(100));
        for link in std::mem::take(&mut self.mends).into_keys() {
            self.cluster.mend(link.0, link.1);
        }
        for machine in std::mem::take(&mut self.boots).into_keys() {
            self.cluster.boot(machine);
        }
        for machine in std::mem::take(&mut self.disks).into_keys() {
            self.cluster.machines()[machine].disk.set_fault(None);
        }
        if self.profile.skew_ms > 6_000 || self.profile.ahead_ms > 0 {
            for machine in self.nodes() {
                machine.skew_ms.set(machine.skew_ms.get() / 10);
            }
        }
        self.underworld.peace.set(true);
    }

    fn people_pay(&mut self) -> Result<(), Broken> {
        let elapsed = u64::try_from(self.cluster.elapsed().as_millis()).unwrap_or(u64::MAX);
        let timestamp = Timestamp(EPOCH_MS + elapsed);
        let genesis = self.profile.cluster.params.genesis_id();
        for number in 0..self.profile.nodes {
            if !self.cluster.is_up(number) || !self.happens(self.profile.payments) {
                continue;
            }
            let reuses = self.profile.reused > 0.0 && self.happens(self.profile.reused);
            let machine = self.cluster.machines()[number].clone();
            let (people, random) = (&mut self.people, &self.random);
            let paid = people.pay(number, &machine, genesis, timestamp, random, reuses)?;
            if let Some(id) = paid {
                self.cluster.note(number, &format!("pays {id:.8}"));
            }
            if reuses {
                self.count("sequences used twice");
            }
        }
        Ok(())
    }

    fn repair_what_is_due(&mut self) {
        let now = self.cluster.elapsed();
        let due: Vec<_> = self.mends.extract_if(.., |_, at| *at <= now).collect();
        for ((from, to), _) in due {
            self.cluster.mend(from, to);
        }
        let due: Vec<_> = self.boots.extract_if(.., |_, at| *at <= now).collect();
        for (machine, _) in due {
            self.cluster.boot(machine);
        }
        let due: Vec<_> = self.disks.extract_if(.., |_, at| *at <= now).collect();
        for (machine, _) in due {
            self.cluster.note(machine, "disk works again");
            self.cluster.machines()[machine].disk.set_fault(None);
        }
    }

    /// Splits the network in two for some seconds, one time in three in one direction only.
    fn split(&mut self) {
        let lasts = 1_000 + self.random.below(self.profile.longest_partition_ms - 1_000);
        let half = self.any_half();
        let one_way = self.random.below(3) == 0;
        self.cut_off(half, Duration::from_millis(lasts), one_way);
    }

    /// Some of the machines, but not all.
    fn any_half(&self) -> u64 {
        1 + self.random.below((1 << self.profile.nodes) - 2)
    }

    fn cut_off(&mut self, half: u64, lasts: Duration, one_way: bool) {
        let machines = self.profile.nodes;
        let until = self.cluster.elapsed() + lasts;
        let inside = |machine: usize| half & (1 << machine) != 0;
        for from in 0..machines {
            for to in 0..machines {
                if from != to && inside(from) != inside(to) && (inside(from) || !one_way) {
                    self.cluster.cut(from, to);
                    let mend = self.mends.entry((from, to)).or_insert(until);
                    *mend = until.max(*mend);
                }
            }
        }
        self.count(if one_way {
            "partitions in one direction"
        } else {
            "partitions"
        });
    }

    fn crash_one(&mut self) {
        let machine = self.any_machine();
        if !self.cluster.is_up(machine) {
            return;
        }
        self.cluster.crash(machine);
        let off = Duration::from_millis(self.random.below(8_000));
        self.boots.insert(machine, self.cluster.elapsed() + off);
        self.count("power cuts");
    }

    fn wind_a_clock(&mut self) {
        let machine = self.any_machine();
        self.cluster.note(machine, "clock jumps");
        let (before, after) = (
            self.cluster.machines()[machine].skew_ms.get(),
            skew(&self.random, self.profile.skew_ms),
        );
        self.cluster.machines()[machine].skew_ms.set(after);
        self.count(if after < before {
            "clocks set back"
        } else {
            "clocks set forward"
        });
    }

    fn break_a_disk(&mut self) {
        let machine = self.any_machine();
        let fault = match self.random.below(2) {
            0 => StoreError::Full,
            _ => StoreError::Io {
                reason: "the disk is broken".to_owned(),
            },
        };
        self.cluster.note(machine, &format!("disk fails: {fault}"));
        self.cluster.machines()[machine].disk.set_fault(Some(fault));
        let lasts = Duration::from_millis(500 + self.random.below(6_000));
        self.disks.insert(machine, self.cluster.elapsed() + lasts);
        self.count("failing disks");
    }

    fn any_machine(&self) -> usize {
        self.random.below(self.profile.nodes as u64) as usize
    }

    fn happens(&self, share: f64) -> bool {
        self.random.unit() < share
    }

    fn count(&mut self, fault: &'static str) {
        *self.report.faults.entry(fault).or_default() += 1;
    }
}

/// An error for a clock, either way.
pub(super) fn skew(random: &RandomStream, most_ms: u64) -> i64 {
    random.below(2 * most_ms) as i64 - most_ms as i64
}
