//! The `mvb` program: it reads the command line, does what it says with the node's parts,
//! prints the result and ends with an exit code. Printing, exit codes, prompts and the
//! hook that ends the process on a panic live here and nowhere else in the project.

mod args;
mod commands;
mod context;
mod dashboard;
mod exit;
mod logs;
mod narrator;
mod output;
mod pages;
mod passphrase;
mod progress;

use crate::{
    args::{Args, Command},
    context::Context,
    exit::Exit,
    output::{Format, Output, Talk},
};
use clap::error::ErrorKind;
use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

/// Runs the program with the process's arguments. The one place where it ends.
pub fn main() -> ExitCode {
    exit::end_on_panic();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let exit = match args::parse(arguments.clone()) {
        Ok(args) => run(args),
        Err(error) => refuse(&error, &arguments),
    };
    exit.into()
}

fn run(args: Args) -> Exit {
    let format = if args.global.json {
        Format::Json
    } else {
        Format::Text
    };
    let talk = if args.global.quiet {
        Talk::Quiet
    } else {
        Talk::Normal
    };
    let dashboard = matches!(&args.command, Command::Miner(miner) if miner.dashboard);
    logs::begin(&args.global, dashboard);
    let context = Context::new(args.global, Output::new(format, talk));
    let done = match args.command {
        Command::Wallet(wallet) => commands::wallet::run(&context, wallet),
        Command::Miner(miner) => commands::miner::run(&context, miner),
        Command::Chain(chain) => commands::chain::run(&context, chain),
        Command::Config => commands::config::run(&context),
        Command::Doctor { seconds } => commands::doctor::run(&context, seconds),
        Command::Demo(demo) => commands::demo::run(&context, &demo),
        Command::Bench(bench) => commands::bench::run(&context, bench),
        Command::Completions { shell } => commands::install::completions(&context, shell),
        Command::Man { folder } => commands::install::man(&context, &folder),
    };
    match done {
        Ok(exit) => exit,
        Err(error) => {
            let exit = exit::of_error(&error);
            if exit != Exit::Done {
                context.output.error(&exit::line(&error), exit.code());
            }
            exit
        }
    }
}

/// What clap could not make a command of: help, the version, or a mistake.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever closed the pipe has read enough of the help.
            let _ = write!(io::stdout(), "{}", error.render());
            Exit::Done
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if arguments.len() <= 1 => {
            let _ = write!(io::stdout(), "{}", args::long_help());
            Exit::Done
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(io::stderr(), "{}", error.render());
            Exit::Usage
        }
        _ => {
            let json = arguments.iter().any(|argument| argument == "--json");
            let format = if json { Format::Json } else { Format::Text };
            let exit = Exit::Usage;
            Output::new(format, Talk::Normal).error(&exit::usage_line(error), exit.code());
            exit
        }
    }
}
