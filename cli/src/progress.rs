//! A bar on a terminal for what takes long, and nothing elsewhere: what is piped or logged
//! gets the lines that the command prints anyway.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A bar that may be on the screen.
pub struct Progress {
    bar: Option<ProgressBar>,
    live: bool,
}

impl Progress {
    /// Drawn on stderr where a person looks.
    pub fn new(output: &Output) -> Self {
        Self {
            bar: None,
            live: output.is_live(),
        }
    }

    /// None, where the screen is another's.
    pub fn none() -> Self {
        Self {
            bar: None,
            live: false,
        }
    }

    /// Whether a bar is drawn, so that lines of progress can be left out.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Shows how far it is with `what`; another one gets a bar of its own.
    pub fn set(&mut self, done: u64, of: u64, what: &str) {
        if !self.live {
            return;
        }
        // The pace of one stage says nothing of the next one's.
        if self.bar.as_ref().is_some_and(|bar| bar.message() != what) {
            self.clear();
        }
        let bar = self.bar.get_or_insert_with(|| new_bar(of));
        bar.set_length(of);
        bar.set_position(done);
        bar.set_message(what.to_owned());
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Does something to stdout that the bar must not stand in the way of.
    pub fn suspend<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn new_bar(length: u64) -> ProgressBar {
    let template = "{msg} {wide_bar} {pos}/{len}, {eta} left";
    let style = ProgressStyle::with_template(template)
        .expect("the template names only keys that indicatif knows")
        .progress_chars("█▉▊▋▌▍▎▏ ");
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
