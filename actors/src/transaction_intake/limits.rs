//! What keeps a flood of payments cheap: a token bucket for each source of datagrams. A
//! token is taken just before a signature is verified; cheaper refusals cost none.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use tokio::time::Instant;

/// How many sources have a bucket of their own. Sources can be forged, so that beyond this
/// all others share one.
const MAX_SOURCES: usize = 4_096;

/// How long every bucket takes to fill, so that looking for full ones more often finds none.
const SWEEP_GAP: Duration = Duration::from_secs(1);

/// Whom the bucket belongs to that all sources beyond the limit share.
const EVERYBODY_ELSE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A token bucket for each source.
#[derive(Debug)]
pub struct SourceLimits {
    per_second: u32,
    buckets: BTreeMap<IpAddr, Bucket>,
    /// When full buckets are next looked for.
    sweep: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl SourceLimits {
    /// Each source may send `per_second` payments a second, and as many at once.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            buckets: BTreeMap::new(),
            sweep: None,
        }
    }

    /// Takes a token from the source's bucket, or says that there is none.
    pub fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let full = f64::from(self.per_second);
        if self.buckets.len() >= MAX_SOURCES && self.sweep.is_none_or(|sweep| now >= sweep) {
            // A full bucket is no different from none.
            self.buckets
                .retain(|_, bucket| bucket.fill(full, now) < full);
            self.sweep = Some(now + SWEEP_GAP);
        }
        let crowded = self.buckets.len() >= MAX_SOURCES && !self.buckets.contains_key(&source);
        let source = if crowded { EVERYBODY_ELSE } else { source };
        let bucket = self.buckets.entry(source).or_insert(Bucket {
            tokens: full,
            filled: now,
        });
        let has_token = bucket.fill(full, now) >= 1.0;
        if has_token {
            bucket.tokens -= 1.0;
        }
        has_token
    }
}

impl Bucket {
    fn fill(&mut self, full: f64, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * full).min(full);
        self.filled = now;
        self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(number))
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_gets_its_rate_and_takes_nothing_from_another() {
        let mut limits = SourceLimits::new(10);
        let start = Instant::now();
        let taken = |limits: &mut SourceLimits, n, at| {
            (0..100).filter(|_| limits.take(source(n), at)).count()
        };
        assert_eq!(taken(&mut limits, 1, start), 10);
        assert_eq!(taken(&mut limits, 2, start), 10);
        assert_eq!(taken(&mut limits, 1, start + Duration::from_millis(500)), 5);
        assert_eq!(taken(&mut limits, 1, start + Duration::from_secs(60)), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn forged_sources_beyond_the_limit_share_one_bucket() {
        let mut limits = SourceLimits::new(3);
        let now = Instant::now();
        let taken = (0..20_000).filter(|n| limits.take(source(*n), now)).count();
        assert_eq!(taken, MAX_SOURCES + 3);
        assert_eq!(limits.buckets.len(), MAX_SOURCES + 1);
        let later = now + Duration::from_secs(2);
        assert!(limits.take(source(30_000), later));
        assert_eq!(limits.buckets.len(), 1);
    }
}
