//! What a person types in the lab.

use mvb_node::lab::Attack;
use mvb_protocol::amount::Amount;
use std::str::FromStr;

/// What can be typed.
pub const HELP: &[&str] = &[
    "status                where the chains stand, and who owns what by each",
    "wait [BLOCKS]         until every chain has so many more blocks (1)",
    "split 2 2             cut the network into sides of so many miners each",
    "heal                  join all sides",
    "pay m1 alice 2.5      pay; the names are m1, m2, ..., alice and bob",
    "power 1 90            give miner 1 90 of 100 parts of all hash power",
    "power equal           share the hash power equally",
    "attack majority       m1 takes a payment back with a secret chain",
    "attack minority       the same with little hash power",
    "attack censor         m1 keeps alice's payments out",
    "attack forge          what no hash power allows: others' coins, new coins",
    "quit                  end the lab",
];

/// The most blocks that one command waits for.
const MOST_BLOCKS: u64 = 100;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What can be typed.
    Help,
    /// The chains and balances.
    Status,
    /// Until every chain has grown.
    Wait(u64),
    /// Cuts the network.
    Split(Vec<usize>),
    /// Joins it.
    Heal,
    /// Pays.
    Pay {
        /// Who.
        from: String,
        /// Whom.
        to: String,
        /// How much.
        amount: Amount,
    },
    /// Gives hash power away.
    Power {
        /// To which miner, from 1.
        miner: usize,
        /// So many parts of 100.
        percent: u8,
    },
    /// Shares it equally.
    Share,
    /// Plays an attack.
    Attack(Attack),
    /// Ends the lab.
    Quit,
}

/// Why something typed is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// In words.
    pub reason: String,
}

impl FromStr for Command {
    type Err = Unclear;

    fn from_str(line: &str) -> Result<Self, Unclear> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let unclear = |expected: &str| Unclear {
            reason: format!("got {line:?}, expected {expected}"),
        };
        Ok(match words[..] {
            ["help" | "?"] => Self::Help,
            ["status"] => Self::Status,
            ["wait"] => Self::Wait(1),
            ["wait", blocks] => match blocks.parse() {
                Ok(blocks @ 1..=MOST_BLOCKS) => Self::Wait(blocks),
                _ => return Err(unclear("wait and 1 to 100 blocks")),
            },
            ["split", ref sides @ ..] if !sides.is_empty() => {
                let sides: Result<Vec<usize>, _> = sides.iter().map(|side| side.parse()).collect();
                Self::Split(sides.map_err(|_| unclear("split and numbers of miners"))?)
            }
            ["heal"] => Self::Heal,
            ["pay", from, to, amount] => Self::Pay {
                from: from.to_owned(),
                to: to.to_owned(),
                amount: amount
                    .parse()
                    .map_err(|_| unclear("pay FROM TO and coins such as 2.5"))?,
            },
            ["power", "equal"] => Self::Share,
            ["power", miner, percent] => {
                let miner = miner.strip_prefix('m').unwrap_or(miner).parse();
                match (miner, percent.parse()) {
                    (Ok(miner), Ok(percent)) => Self::Power { miner, percent },
                    _ => return Err(unclear("power, a miner's number and parts of 100")),
                }
            }
            ["attack", name] => {
                let known = Attack::ALL.into_iter().find(|(known, _)| *known == name);
                let (_, attack) =
                    known.ok_or_else(|| unclear("attack majority, minority, censor or forge"))?;
                Self::Attack(attack)
            }
            ["quit" | "exit"] => Self::Quit,
            _ => return Err(unclear("a command")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_help_shows_is_understood() {
        for line in HELP {
            let typed = line.split("  ").next().unwrap().replace("[BLOCKS]", "3");
            assert!(typed.parse::<Command>().is_ok(), "{typed}");
        }
        assert_eq!("split 1 3".parse(), Ok(Command::Split(vec![1, 3])));
        assert_eq!(
            " power m2  90 ".parse(),
            Ok(Command::Power {
                miner: 2,
                percent: 90
            })
        );
        assert_eq!("exit".parse(), Ok(Command::Quit));
    }

    #[test]
    fn what_is_no_command_is_told_with_what_would_be() {
        for (typed, expected) in [
            ("split", "a command"),
            ("split a b", "numbers of miners"),
            ("wait 0", "1 to 100"),
            ("wait 101", "1 to 100"),
            ("pay m1 alice", "a command"),
            ("pay m1 alice -1", "coins"),
            ("power 1 300", "parts of 100"),
            ("attack mars", "majority, minority, censor or forge"),
            ("\u{1b}[2J", "a command"),
        ] {
            let unclear = typed.parse::<Command>().unwrap_err();
            assert!(unclear.reason.contains(expected), "{unclear:?}");
            assert!(!unclear.reason.contains('\u{1b}'));
        }
    }
}
