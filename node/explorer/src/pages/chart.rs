//! The plot of block times: how long each of the last blocks took, drawn on the server.

use super::layout::span;
use maud::{Markup, html};
use mvb_node::words;
use mvb_protocol::numbers::{Height, Timestamp};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 168.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 24.0;

/// A block's height and time.
pub type Point = (Height, Timestamp);

/// How long each block after the first took, from the oldest to the newest.
pub fn intervals(points: &[Point]) -> Vec<(Height, u64)> {
    points
        .windows(2)
        .map(|pair| (pair[1].0, pair[1].1.0.saturating_sub(pair[0].1.0)))
        .collect()
}

/// The mean of intervals, in milliseconds.
pub fn mean(intervals: &[(Height, u64)]) -> Option<f64> {
    let sum: f64 = intervals.iter().map(|(_, ms)| *ms as f64).sum();
    (!intervals.is_empty()).then(|| sum / intervals.len() as f64)
}

/// The plot.
pub fn block_times(intervals: &[(Height, u64)], target: Option<u64>) -> Markup {
    let (Some(first), Some(last), Some(mean)) =
        (intervals.first(), intervals.last(), mean(intervals))
    else {
        return html! {};
    };
    let longest = intervals.iter().map(|(_, ms)| *ms).max().unwrap_or(0);
    // A plot that is all one outlier shows nothing: what is far above the mean is cut.
    let top = (longest as f64).min(mean * 6.0).max(1.0);
    let plot = HEIGHT - TOP - BOTTOM;
    let y = |ms: f64| TOP + plot * (1.0 - (ms / top).min(1.0));
    let step = (WIDTH - LEFT) / intervals.len().max(20) as f64;
    let about = format!(
        "{} from {} to {}: {} on average, the longest {}{}",
        words::count(intervals.len(), "block"),
        first.0,
        last.0,
        span(mean as u64),
        span(longest),
        target.map_or_else(String::new, |ms| format!(", aimed at {}", span(ms))),
    );
    html! {
        svg .chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
            aria-labelledby="times-title times-about" {
            title #times-title { "Block times" }
            desc #times-about { (about) }
            line .axis x1=(LEFT) x2=(WIDTH) y1=(y(0.0)) y2=(y(0.0)) {}
            line .axis x1=(LEFT) x2=(WIDTH) y1=(TOP) y2=(TOP) {}
            text x=(LEFT - 8.0) y=(TOP + 4.0) text-anchor="end" { (span(top as u64)) }
            text x=(LEFT - 8.0) y=(y(0.0)) text-anchor="end" { "0 s" }
            @for (i, (height, ms)) in intervals.iter().enumerate() {
                @let taken = y(*ms as f64);
                rect .bar x=(px(LEFT + i as f64 * step + step * 0.12)) y=(px(taken))
                    width=(px(step * 0.76)) height=(px((y(0.0) - taken).max(1.0))) rx="1.5" {
                    title { "Block " (height) ": " (span(*ms)) }
                }
            }
            line .mean x1=(LEFT) x2=(WIDTH) y1=(px(y(mean))) y2=(px(y(mean))) {}
            text .mean-text x=(WIDTH) y=(px(y(mean) - 5.0)) text-anchor="end" {
                "mean " (span(mean as u64))
            }
            text .below x=(LEFT) y=(HEIGHT - 6.0) { (words::grouped(first.0.0)) }
            text .below x=(px(LEFT + step * intervals.len() as f64)) y=(HEIGHT - 6.0) text-anchor="end" {
                (words::grouped(last.0.0))
            }
        }
    }
}

/// A coordinate with no more digits than can be seen.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(times: &[u64]) -> Vec<Point> {
        let numbered = times.iter().zip(1..);
        numbered
            .map(|(time, height)| (Height(height), Timestamp(*time)))
            .collect()
    }

    #[test]
    fn an_interval_is_the_time_since_the_block_before() {
        let times = intervals(&points(&[1_000, 3_000, 3_500]));
        assert_eq!(times, [(Height(2), 2_000), (Height(3), 500)]);
        assert_eq!(mean(&times), Some(1_250.0));
        assert_eq!(mean(&intervals(&points(&[1]))), None);
    }

    #[test]
    fn a_plot_says_in_words_what_it_shows() {
        let times = intervals(&points(&[0, 2_000, 6_000]));
        let plot = block_times(&times, Some(5_000)).into_string();
        let about = "2 blocks from 2 to 3: 3.0 s on average, the longest 4.0 s, aimed at 5.0 s";
        assert!(plot.contains(about), "{plot}");
        assert_eq!(block_times(&[], None).into_string(), "");
    }

    #[test]
    fn blocks_at_the_same_moment_or_centuries_apart_are_drawn_within_the_frame() {
        for times in [vec![5, 5, 5], vec![0, u64::MAX / 2, u64::MAX]] {
            let plot = block_times(&intervals(&points(&times)), None).into_string();
            assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
            assert!(!plot.contains("height=\"-"), "{plot}");
        }
    }
}
