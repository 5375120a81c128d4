//! What all pages share: the frame around them, and how ids, addresses, amounts and times
//! are written. Text reaches a page only through maud's `html!`, which escapes it.

use crate::assets;
use maud::{DOCTYPE, Markup, html};
use mvb_node::{handle::NodeHandle, words};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    hash::{BlockId, TxId},
    numbers::{Height, Timestamp},
};
use std::fmt::Display;

/// Where a page belongs in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The overview.
    Overview,
    /// The list of blocks, or one of them.
    Blocks,
    /// The fork tree.
    Forks,
    /// The mempool.
    Mempool,
    /// The peers.
    Peers,
    /// None of them.
    Elsewhere,
}

const PLACES: [(Place, &str, &str); 5] = [
    (Place::Overview, "/", "Overview"),
    (Place::Blocks, "/blocks", "Blocks"),
    (Place::Forks, "/forks", "Fork tree"),
    (Place::Mempool, "/mempool", "Mempool"),
    (Place::Peers, "/peers", "Peers"),
];

/// Whether a page follows what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// Its parts marked `data-live` are renewed as things change.
    Yes,
    /// It stays as it is.
    No,
}

/// A whole page of a node's explorer.
pub fn page(node: &NodeHandle, place: Place, title: &str, live: Live, main: Markup) -> Markup {
    let genesis = node.params.genesis_id();
    let frame = Frame {
        title,
        network: &node.params.network_name,
        about: &format!("genesis {genesis}"),
        live,
    };
    let top = html! {
        nav aria-label="Pages" {
            @for (its, path, name) in PLACES {
                a href=(path) aria-current=[(its == place).then_some("page")] { (name) }
            }
        }
        form .search action="/search" method="get" role="search" {
            label .hidden for="q" { "Height, id or address" }
            input #q name="q" type="search" placeholder="Height, id or address"
                autocomplete="off" spellcheck="false" maxlength="80" required;
            button type="submit" { "Find" }
        }
    };
    let bottom = html! {
        span { "Genesis " code { (format!("{genesis:.12}")) } }
        a href="/api/v1/openapi.json" { "API" }
        a href="/metrics" { "Metrics" }
    };
    frame.around(top, main, bottom)
}

/// What stands around every page.
pub struct Frame<'a> {
    /// The page's title.
    pub title: &'a str,
    /// The network's name, beside the program's.
    pub network: &'a str,
    /// What is said of it where a pointer rests.
    pub about: &'a str,
    /// Whether the page follows what happens.
    pub live: Live,
}

impl Frame<'_> {
    /// The page.
    pub fn around(&self, top: Markup, main: Markup, bottom: Markup) -> Markup {
        let Self {
            title,
            network,
            about,
            live,
        } = self;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="same-origin";
                    title { (title) " · " (network) " · mvb" }
                    link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
                    link rel="stylesheet" href=(assets::STYLE.path());
                    @if *live == Live::Yes {
                        script src=(assets::LIVE.path()) defer {}
                    }
                }
                body {
                    a .skip href="#main" { "Skip to content" }
                    header .top {
                        div .inner {
                            a .brand href="/" {
                                span .mark aria-hidden="true" {}
                                span { "mvb" }
                                span .network title=(about) { (network) }
                            }
                            (top)
                        }
                    }
                    main #main tabindex="-1" { (main) }
                    footer {
                        div .inner {
                            (bottom)
                            @if *live == Live::Yes {
                                span #live role="status" { "Live updates need JavaScript; reload to see more." }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A link to a block, by its short id.
pub fn block_link(id: &BlockId) -> Markup {
    html! { a .id href={ "/blocks/" (id) } title=(id) { (short(id)) } }
}

/// A link to a block, by its height.
pub fn height_link(height: Height) -> Markup {
    html! { a href={ "/blocks/" (height) } { (words::grouped(height.0)) } }
}

/// A link to a payment.
pub fn payment_link(id: &TxId) -> Markup {
    html! { a .id href={ "/transactions/" (id) } title=(id) { (short(id)) } }
}

/// A link to an address.
pub fn address_link(address: &Address) -> Markup {
    html! { a .id href={ "/addresses/" (address) } title=(address) { (short(address)) } }
}

/// An id in full, so that it can be copied, breaking where the line ends.
pub fn whole(id: impl Display) -> Markup {
    html! { code .whole { (id) } }
}

/// The first and last digits of an id.
pub fn short(id: &impl Display) -> String {
    let text = id.to_string();
    match (
        text.get(..8),
        text.len().checked_sub(4).and_then(|at| text.get(at..)),
    ) {
        (Some(head), Some(tail)) if text.len() > 14 => format!("{head}…{tail}"),
        _ => text,
    }
}

/// Coins.
pub fn coins(amount: Amount) -> Markup {
    let text = amount.to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let grouped = whole
        .parse()
        .map_or_else(|_| whole.to_owned(), words::grouped);
    html! {
        span .coins {
            (grouped)
            @if !decimals.is_empty() { span .decimals { "." (decimals) } }
        }
    }
}

/// A moment, and how long ago that was.
pub fn moment(time: Timestamp, now: Timestamp) -> Markup {
    html! { (utc(time)) " " span .quiet { "(" (ago(time, now)) ")" } }
}

/// A moment in UTC.
pub fn utc(time: Timestamp) -> Markup {
    let text = words::utc(time.0);
    html! { time datetime=(text.replace(' ', "T") + "Z") { (text) " UTC" } }
}

/// How long ago a moment was, or how far ahead of this node's clock it is.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    match now.0.checked_sub(time.0) {
        Some(passed) if passed < 1_000 => "just now".to_owned(),
        Some(passed) => format!("{} ago", span(passed)),
        None => format!("{} ahead of this clock", span(time.0 - now.0)),
    }
}

/// Milliseconds in words, without the last digits that would only flicker.
pub fn span(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => words::duration(milliseconds as f64 / 1e3),
        _ => words::duration((milliseconds / 1_000) as f64),
    }
}

/// A heading of a page with what it is about.
pub fn heading(title: &str, about: Markup) -> Markup {
    html! {
        div .heading {
            h1 { (title) }
            p .about { (about) }
        }
    }
}

/// What stands where nothing is.
pub fn empty(title: &str, about: Markup) -> Markup {
    html! {
        div .empty {
            p .title { (title) }
            p { (about) }
        }
    }
}

/// A table that scrolls sideways in itself, also by keyboard, where it is wider than the page.
pub fn table(label: &str, head: &[(&str, &str)], rows: Markup) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead {
                    tr {
                        @for (name, class) in head {
                            th scope="col" class=[(!class.is_empty()).then_some(*class)] { (name) }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

/// Names and values.
pub fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl .facts {
            @for (name, value) in rows {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// Links to other parts of a list.
pub fn pager(newest: Option<String>, older: Option<String>) -> Markup {
    html! {
        @if newest.is_some() || older.is_some() {
            nav .pager aria-label="Parts of the list" {
                @if let Some(newest) = newest { a href=(newest) { "Newest" } }
                @if let Some(older) = older { a href=(older) rel="next" { "Older" } }
            }
        }
    }
}
