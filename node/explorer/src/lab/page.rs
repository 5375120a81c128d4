//! What the lab's page looks like.

use super::{Shown, Told};
use crate::{
    forks::{self, TreeBlock},
    pages::{
        layout::{Frame, Live, coins, empty, heading, table},
        sentence,
        tree::{self, Label},
    },
    problem::Problem,
    reply::Reply,
};
use maud::{Markup, html};
use mvb_actors::seen_blocks::Fate;
use mvb_node::{
    lab::{Attack, ForestBlock, Stands},
    words,
};
use mvb_protocol::numbers::Timestamp;

/// The page.
pub fn lab(shown: &Shown, token: &str) -> Markup {
    let main = html! {
        (heading("Lab", html! {
            (words::count(shown.powers.len(), "miner"))
            " and a wallet in one process, wired as for real. Together they find a block every "
            (shown.block_seconds) " s. Split them, and each side mines a chain of its own; heal, and "
            "the chain with the most work stays."
        }))
        div #state data-live { (state(shown)) }
        div #tree data-live { (forest(shown)) }
        section aria-labelledby="do" {
            header { h2 #do { "What you can do" } span .quiet { "the terminal takes the same commands" } }
            div .deeds { (deeds(shown, token)) }
        }
        section aria-labelledby="told" {
            header { h2 #told { "What happened" } span .quiet { "the newest first" } }
            div #telling data-live { (told(&shown.told)) }
        }
        section aria-labelledby="owns" {
            header { h2 #owns { "Who owns what" } span .quiet { "by the chain of each side" } }
            div #balances data-live { (balances(shown)) }
        }
    };
    framed("Lab", Live::Yes, main)
}

/// What is shown instead: what is wrong, and what would be right.
pub fn problem(problem: &Problem) -> Reply {
    let main = html! {
        (heading("That was not done", html! { "Status " (problem.status.as_u16()) }))
        p { (sentence(&problem.message)) }
        p { "Go to the " a href="/" { "lab" } "." }
    };
    Reply::page(framed("Not done", Live::No, main)).with_status(problem.status)
}

fn framed(title: &str, live: Live, main: Markup) -> Markup {
    let frame = Frame {
        title,
        network: "lab",
        about: "a network in one process",
        live,
    };
    let bottom = html! { span { "Nothing here is real money, and all of it ends with the lab." } };
    frame.around(Markup::default(), main, bottom)
}

fn state(shown: &Shown) -> Markup {
    html! {
        p .notice .good[shown.sides.len() == 1] {
            @if shown.sides.len() == 1 {
                "The network is whole."
            } @else {
                "The network is split: "
                @for (number, side) in shown.sides.iter().enumerate() {
                    @if number > 0 { " | " }
                    strong { (side.join(" ")) }
                }
                ". Neither side knows anything of the other."
            }
            @if let Some(busy) = &shown.busy { " At work: " code { (busy) } }
        }
    }
}

fn forest(shown: &Shown) -> Markup {
    let known = &shown.forest.blocks;
    if known.is_empty() {
        return empty(
            "No block yet",
            html! { "The tree grows from the first block on." },
        );
    }
    let blocks = known.iter().map(placed).collect();
    let tree = forks::laid_out(shown.forest.from, shown.forest.best, blocks);
    let of = |block: &TreeBlock| known.iter().find(|known| known.block.id == block.id);
    html! {
        (tree::draw(&tree, &|block| of(block).map_or_else(unknown, label)))
        ul .legend {
            li { span .tag .good { "best" } "the chain with the most work" }
            li { span .tag .rival { "rival" } "another side's chain" }
            li { span .tag .bad { "given up" } "left in a reorg" }
            li { "Below a block: whose chain ends with it" }
        }
    }
}

fn placed(known: &ForestBlock) -> TreeBlock {
    let (lane, fate) = match known.stands {
        Stands::Best => (0, Fate::Active),
        Stands::Elsewhere => (usize::MAX, Fate::Active),
        Stands::Nowhere => (usize::MAX, Fate::Orphaned),
    };
    TreeBlock {
        id: known.block.id,
        previous: known.previous,
        height: known.block.height,
        time: Timestamp(0),
        fate,
        lane,
        body: None,
        found_here: false,
        peers: 0,
    }
}

fn label(known: &ForestBlock) -> Label {
    let fate = match known.stands {
        Stands::Best => "active",
        Stands::Elsewhere => "rival",
        Stands::Nowhere => "orphaned",
    };
    let block = &known.block;
    let more = match block.payments {
        0 => format!("by {}", block.miner),
        payments => format!("by {}, {payments} paid", block.miner),
    };
    let about = format!(
        "block {}, {}",
        block.height,
        match known.stands {
            Stands::Best => "best",
            Stands::Elsewhere => "rival",
            Stands::Nowhere => "given up",
        }
    );
    Label {
        fate,
        more,
        below: known.tip_of.join(" "),
        about,
        href: None,
    }
}

fn unknown() -> Label {
    Label {
        fate: "outdone",
        more: String::new(),
        below: String::new(),
        about: String::new(),
        href: None,
    }
}

/// The forms.
fn deeds(shown: &Shown, token: &str) -> Markup {
    let miners = shown.powers.len();
    let form = |deed: &str, fields: Markup, button: &str| {
        html! {
            form .deed action="/do" method="post" {
                input type="hidden" name="token" value=(token);
                input type="hidden" name="do" value=(deed);
                (fields)
                button type="submit" { (button) }
            }
        }
    };
    html! {
        (form("split", html! {
            label { "Sides" select name="sides" autocomplete="off" {
                @for sides in splits(miners) {
                    option value=(sides) selected[sides == halves(miners)] { (sides.replace(' ', " | ")) }
                }
            } }
        }, "Split"))
        (form("heal", html! { span .quiet { "Join all sides again" } }, "Heal"))
        (form("pay", html! {
            label { "From" (names("from", &shown.people, "m1")) }
            label { "To" (names("to", &shown.people, "alice")) }
            label { "Coins" input name="amount" value="2.5" inputmode="decimal" size="6" maxlength="20" autocomplete="off" required; }
        }, "Pay"))
        (form("power", html! {
            label { "Miner" select name="miner" autocomplete="off" {
                @for (number, power) in (1..).zip(&shown.powers) {
                    option value=(number) { "m" (number) " (now " (format!("{power:.0}")) ")" }
                }
            } }
            label { "Of 100" input name="percent" type="number" min="1" max="99" value="90" autocomplete="off" required; }
        }, "Give hash power"))
        (form("share", html! { span .quiet { "All miners get the same hash power" } }, "Share equally"))
        (form("attack", html! {
            label { "Attack by m1" select name="attack" autocomplete="off" {
                @for (name, _) in Attack::ALL { option value=(name) { (name) } }
            } }
        }, "Play"))
    }
}

fn names(field: &str, people: &[String], first: &str) -> Markup {
    html! {
        select name=(field) autocomplete="off" {
            @for name in people { option value=(name) selected[name == first] { (name) } }
        }
    }
}

/// The ways to cut in two that are worth a line, and into single miners.
fn splits(miners: usize) -> Vec<String> {
    let mut ways: Vec<String> = (1..miners)
        .map(|first| format!("{first} {}", miners - first))
        .collect();
    if miners > 2 {
        ways.push(vec!["1"; miners].join(" "));
    }
    ways
}

fn halves(miners: usize) -> String {
    let first = (miners / 2).max(1);
    format!("{first} {}", miners - first)
}

fn told(told: &[Told]) -> Markup {
    if told.is_empty() {
        return empty(
            "Nothing yet",
            html! { "What you do, and what comes of it, is told here." },
        );
    }
    html! {
        ul .list {
            @for one in told.iter().rev() {
                li {
                    @match one {
                        Told::Command(text) => code { "$ " (text) },
                        Told::Fact(text) => (words_and_commands(text)),
                    }
                }
            }
        }
    }
}

/// What stands between backticks can be typed.
fn words_and_commands(text: &str) -> Markup {
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn balances(shown: &Shown) -> Markup {
    let branches = &shown.picture.branches;
    let Some(first) = branches.first() else {
        return Markup::default();
    };
    let titles: Vec<String> = branches
        .iter()
        .map(|branch| match branches.len() {
            1 => "owns".to_owned(),
            _ => format!("by {}", branch.machines.join(" ")),
        })
        .collect();
    let mut head = vec![("Who", "")];
    head.extend(titles.iter().map(|title| (title.as_str(), "right")));
    table(
        "Balances",
        &head,
        html! {
            @for (row, balance) in first.balances.iter().enumerate() {
                tr {
                    td { (balance.name) }
                    @for branch in branches {
                        td .right {
                            @if let Some(balance) = branch.balances.get(row) { (coins(balance.amount)) }
                        }
                    }
                }
            }
        },
    )
}
