//! Within what time half, 99 of 100, and all samples of a benchmark were.

use serde::Serialize;
use std::time::Duration;

/// The times within which half, 99 of 100, and all were.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Half.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// All.
    pub max: f64,
}

impl Share {
    /// In microseconds.
    pub fn micros(samples: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(samples, 1e6)
    }

    /// In milliseconds.
    pub fn millis(samples: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(samples, 1e3)
    }

    fn of(samples: impl IntoIterator<Item = Duration>, units_a_second: f64) -> Self {
        let mut samples: Vec<Duration> = samples.into_iter().collect();
        samples.sort_unstable();
        let at = |share: f64| {
            let last = samples.len().saturating_sub(1) as f64;
            let sample = samples.get((share * last) as usize);
            let units = sample.map_or(0.0, |sample| sample.as_secs_f64() * units_a_second);
            // What a clock tells beyond two digits behind the point is noise.
            (units * 100.0).round() / 100.0
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_samples_are_within_p50() {
        let micros = (1..=101).map(Duration::from_micros);
        let expected = Share {
            p50: 51.0,
            p99: 100.0,
            max: 101.0,
        };
        assert_eq!(Share::micros(micros), expected);
        let millis = Share::millis([Duration::from_micros(1_234)]);
        assert_eq!((millis.p50, millis.max), (1.23, 1.23));
    }
}
