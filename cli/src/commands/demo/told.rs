//! How the demonstration reads: numbered steps, facts below them, and commands as they
//! could be typed.

use crate::output;
use serde::Serialize;
use std::{fmt, time::Duration};

/// Where a line of prose ends at the latest.
const WIDTH: usize = 84;

/// One thing told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Told {
    /// A new step.
    Step {
        /// Its number, from 1.
        number: u32,
        /// What it is about.
        title: String,
    },
    /// Something that happened, or why.
    Fact {
        /// In words.
        text: String,
    },
    /// A command that was run.
    Command {
        /// As it would be typed.
        text: String,
    },
    /// A line whose columns matter.
    Line {
        /// As it is.
        text: String,
    },
    /// The end.
    Done {
        /// The height of the chain.
        height: u64,
        /// Its tip.
        tip: String,
        /// The first payment.
        payment: String,
        /// How long it all took.
        seconds: f64,
    },
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { number, title } => write!(f, "\n{number}. {title}\n"),
            Self::Fact { text } => f.write_str(&wrapped(text)),
            Self::Command { text } => write!(f, "   $ {text}"),
            Self::Line { text } => write!(f, "   {text}"),
            Self::Done { seconds, .. } => write!(
                f,
                "\nDone in {seconds:.1} s. Your own network: `mvb miner` in one terminal, \
                 `mvb wallet --help` in another."
            ),
        }
    }
}

fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from("  ")];
    // A number and its unit are joined by a space that is none to this.
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().expect("there is one line at least");
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.len() > 2 {
            lines.push(format!("   {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// A duration as part of a sentence: "after …".
pub fn after(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 0.15 => "almost at once".to_owned(),
        seconds => format!("after {}", unbroken(output::duration(seconds))),
    }
}

/// A quantity that stays on one line.
pub fn unbroken(quantity: String) -> String {
    quantity.replace(' ', "\u{a0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_and_indented() {
        let text = "word ".repeat(30);
        let told = Told::Fact { text }.to_string();
        assert_eq!(told.lines().count(), 2);
        assert!(
            told.lines()
                .all(|line| line.starts_with("   word") && line.len() <= WIDTH)
        );
    }

    #[test]
    fn a_word_longer_than_a_line_stays_whole() {
        let id = "ab".repeat(60);
        let told = Told::Fact { text: id.clone() }.to_string();
        assert_eq!(told, format!("   {id}"));
    }

    #[test]
    fn a_quantity_is_not_torn_apart() {
        let text = format!("{} {}", "word".repeat(18), after(Duration::from_secs(4)));
        let told = Told::Fact { text }.to_string();
        assert!(told.ends_with("\n   4.0\u{a0}s"), "{told}");
        assert_eq!(after(Duration::ZERO), "almost at once");
    }

    #[test]
    fn json_names_the_event() {
        let step = Told::Step {
            number: 1,
            title: "Rules".into(),
        };
        assert_eq!(
            serde_json::to_string(&step).unwrap(),
            r#"{"event":"step","number":1,"title":"Rules"}"#
        );
    }
}
