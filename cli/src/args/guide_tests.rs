//! The user guide names everything that can be typed, set and read.

use super::Args;
use clap::{Command, CommandFactory};
use mvb_node::config::{Config, PARAMETERS};
use std::path::Path;

const GUIDE: &str = include_str!("../../../docs/GUIDE.md");

/// Every command that does something, with the words that lead to it.
fn commands(command: &Command, words: &str) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for sub in command.get_subcommands() {
        let words = format!("{words} {}", sub.get_name());
        if sub.has_subcommands() {
            found.extend(commands(sub, &words));
        } else {
            found.push((words, sub.clone()));
        }
    }
    found
}

/// The guide's section under a command's heading.
fn section(words: &str) -> &'static str {
    let heading = format!("\n### {words}\n");
    let (_, rest) = GUIDE
        .split_once(&heading)
        .unwrap_or_else(|| panic!("docs/GUIDE.md has no heading {words:?}"));
    let ends = [rest.find("\n### "), rest.find("\n## ")];
    &rest[..ends.into_iter().flatten().min().unwrap_or(rest.len())]
}

#[test]
fn the_guide_describes_every_command_and_each_of_its_options() {
    let program = Args::command();
    for (words, command) in commands(&program, "mvb") {
        let section = section(&words);
        for option in command.get_arguments().filter_map(|arg| arg.get_long()) {
            assert!(
                section.contains(&format!("`--{option}")),
                "{words} --{option}"
            );
        }
        for value in command
            .get_positionals()
            .flat_map(|arg| arg.get_value_names())
        {
            for name in value {
                assert!(section.contains(name.as_str()), "{words} {name}");
            }
        }
    }
    for option in program.get_arguments().filter_map(|arg| arg.get_long()) {
        assert!(GUIDE.contains(&format!("--{option}")), "--{option}");
    }
}

#[test]
fn the_guide_names_every_field_of_the_json() {
    for (words, command) in commands(&Args::command(), "mvb") {
        let page = command
            .get_after_long_help()
            .unwrap_or_else(|| panic!("{words} has no page on its JSON"))
            .to_string();
        let section = section(&words);
        // What stands in quotes on the page, every second piece, is a field or an event.
        for field in page.split('"').skip(1).step_by(2) {
            if field.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                let told = section.contains(&format!("`{field}`"))
                    || section.contains(&format!("\"{field}\""))
                    || (section.contains("as [send]") || section.contains("events of [sync]"))
                        && GUIDE.contains(&format!("`{field}`"));
                assert!(told, "{words}: {field}");
            }
        }
    }
}

#[test]
fn the_guide_lists_every_parameter_as_mvb_config_does() {
    let home = Path::new("/no/home");
    let config = Config::load(home, &[], std::iter::empty()).unwrap();
    let entries = config.entries();
    assert_eq!(entries.len(), PARAMETERS.len());
    for entry in entries {
        let default = match entry.default.as_str() {
            "" => "none".to_owned(),
            "/no/home" => "the home".to_owned(),
            value => format!("`{value}`"),
        };
        let row = format!(
            "| `{}` | {default} | {} | {} |",
            entry.name, entry.allowed, entry.meaning
        );
        assert!(GUIDE.contains(&row), "docs/GUIDE.md has no row\n{row}");
    }
}
