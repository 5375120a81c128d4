//! `mvb completions` and `mvb man`: what an installed program gives its system. Both are
//! made from the command line's own description, so they say what it says.

use crate::{args, context::Context, exit::Exit};
use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;
use serde::Serialize;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Prints a shell's completion script.
pub fn completions(context: &Context, shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "mvb", &mut script);
    let script = String::from_utf8(script).context("the completion script is no text")?;
    let shell = shell.to_string();
    context.output.report(&Completions { shell, script })?;
    Ok(Exit::Done)
}

/// Writes one page for the program and one for each command.
pub fn man(context: &Context, folder: &Path) -> Result<Exit> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut command = args::command();
    // Names of the pages and of what they describe come of this: `mvb wallet send`.
    command.build();
    let mut pages = Vec::new();
    write(&command, folder, &mut pages)?;
    context.output.report(&Pages {
        folder: folder.to_owned(),
        pages,
    })?;
    Ok(Exit::Done)
}

fn write(command: &Command, folder: &Path, pages: &mut Vec<String>) -> Result<()> {
    let man = clap_mangen::Man::new(command.clone()).manual("mvb");
    let mut text = Vec::new();
    man.render(&mut text).context("cannot make the page")?;
    let path = folder.join(man.get_filename());
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    pages.push(man.get_filename());
    for sub in command.get_subcommands() {
        write(sub, folder, pages)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Completions {
    shell: String,
    script: String,
}

impl fmt::Display for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script)
    }
}

#[derive(Serialize)]
struct Pages {
    folder: PathBuf,
    pages: Vec<String>,
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        writeln!(f, "{} pages in {folder}", self.pages.len())?;
        writeln!(f, "Read one with `man {folder}/mvb.1`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut args::command(), "mvb", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("new-address"), "{shell}");
        }
    }

    #[test]
    fn each_command_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = args::command();
        command.build();
        let mut pages = Vec::new();
        write(&command, folder.path(), &mut pages).unwrap();
        for page in ["mvb.1", "mvb-miner.1", "mvb-wallet-send.1"] {
            assert!(pages.contains(&page.to_owned()), "{page} in {pages:?}");
        }
        let send = fs::read_to_string(folder.path().join("mvb-wallet-send.1")).unwrap();
        assert!(
            send.contains("mvb wallet send") && send.contains("Pay somebody"),
            "{send}"
        );
    }
}
