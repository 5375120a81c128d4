//! The command line as clap reads it, and the words it answers with.

use super::*;
use clap::{CommandFactory, error::ErrorKind};

fn parsed(line: &str) -> Args {
    parse(line.split(' ').map(OsString::from)).unwrap()
}

fn refused(line: &str) -> clap::Error {
    parse(line.split(' ').map(OsString::from)).unwrap_err()
}

#[test]
fn the_command_line_is_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn set_counts_before_and_after_the_command() {
    let args = parsed("mvb --set a=1 wallet --set=b=2=3 list-addresses --set c= --json");
    let set: Vec<(String, String)> = args
        .global
        .set
        .into_iter()
        .map(|Setting { key, value }| (key, value))
        .collect();
    let expected = [("a", "1"), ("b", "2=3"), ("c", "")];
    assert_eq!(set, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert!(args.global.json);
}

#[test]
fn a_setting_without_a_key_or_a_value_sign_is_refused() {
    assert_eq!(
        refused("mvb --set =1 config").kind(),
        ErrorKind::ValueValidation
    );
    assert_eq!(
        refused("mvb --set a config").kind(),
        ErrorKind::ValueValidation
    );
    assert!(parse(["mvb", "config", "--set"].map(OsString::from)).is_err());
}

#[test]
fn a_payment_is_read_with_its_fee() {
    let args = parsed("mvb wallet send alice 2.5 bob --fee 0.001 --wait");
    let Command::Wallet(Wallet::Send(send)) = args.command else {
        panic!("not send");
    };
    assert_eq!((send.from.as_str(), send.to.as_str()), ("alice", "bob"));
    assert_eq!(send.amount.units(), 2_500_000);
    assert_eq!(send.fee.units(), 1_000);
    assert!(send.wait);
}

#[test]
fn amounts_that_are_no_coins_are_refused() {
    for amount in ["-1", "NaN", "1e3", "true", "0.0000001", "inf"] {
        let error = refused(&format!("mvb wallet send alice {amount} bob"));
        assert_eq!(error.kind(), ErrorKind::ValueValidation, "{amount}");
    }
}

#[test]
fn a_block_is_named_by_height_or_id() {
    assert_eq!("12".parse(), Ok(BlockRef::Height(Height(12))));
    let digits = "1".repeat(64);
    assert_eq!(digits.parse(), Ok(BlockRef::Id(BlockId([0x11; 32]))));
    for text in ["", "-1", "+1", "1.0", "abc", "18446744073709551616"] {
        assert!(text.parse::<BlockRef>().is_err(), "{text:?}");
    }
}

#[test]
fn key_sizes_and_threads_have_ranges() {
    let args = parsed("mvb wallet new-address a --key-size 521 --encrypt");
    let Command::Wallet(Wallet::NewAddress {
        key_size, encrypt, ..
    }) = args.command
    else {
        panic!("not new-address");
    };
    assert_eq!((key_size, encrypt), (Some(Curve::P521), true));
    refused("mvb wallet new-address a --key-size 512");
    refused("mvb miner --threads 1025");
    refused("mvb demo --miners 1");
}

#[test]
fn quiet_and_verbose_contradict_each_other() {
    assert_eq!(
        refused("mvb -q -v config").kind(),
        ErrorKind::ArgumentConflict
    );
    assert_eq!(parsed("mvb config -vv").global.verbose, 2);
}

#[test]
fn every_command_has_help_that_fits_the_page() {
    fn check(command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{help}");
        for sub in command.get_subcommands_mut() {
            check(sub);
        }
    }
    let mut command = Args::command();
    command.build();
    check(&mut command);
}
