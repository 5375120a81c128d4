//! The explorer in a browser: every page, what happens while one looks at it, and a fork.

use super::{Lab, mine, new_address, reaches, send};
use crate::{
    browser::Browser,
    process::{Mvb, until},
};
use std::path::Path;

/// Finds faults of accessibility.
const AXE: &str = include_str!("../../vendor/axe-core/axe.min.js");

/// Anybody may name a network, so pages must show it as text.
const NAME: &str = "<script>alert(1)</script>";

/// The first miner's explorer, in a network namespace of its own.
const URL: &str = "http://127.0.0.1:8600";

fn home(lab: &Lab, name: &str) -> Mvb {
    lab.home(name)
        .set("network_name", NAME)
        .set("block_size", 3)
}

/// Pays and mines while a browser looks, visits every page, and makes a fork.
pub fn everything(program: &Path) {
    let lab = Lab::new(program);
    let west = home(&lab, "west").set("http", 8600);
    let mut miner = mine(&west);
    reaches(&mut miner, 1);
    let alice = new_address(&west, "alice");
    let browser = Browser::start(1200, 900, false);

    browser.open(&format!("{URL}/"));
    browser.wait_for("a live page", |text| text.contains("Live"));
    browser.run("window.stays = true");
    // A block needs two payments here, so that the first one has to wait.
    let first = send(&west, "mining_rewards", "1.5", &alice);
    wait_for_figure(&browser, "Mempool", "1");
    assert_eq!(browser.run("return window.stays === true"), true);
    inspect(&browser, "/mempool");
    inspect(&browser, &format!("/transactions/{first}"));
    let followed = Followed::of(&browser, &first);
    send(&west, "mining_rewards", "0.5", &alice);
    followed.is_confirmed(&browser);
    browser.open(&format!("{URL}/"));
    wait_for_figure(&browser, "Height", "2");

    let phone = Browser::start(390, 844, true);
    for browser in [&browser, &phone] {
        inspect_all(browser, &first, &alice);
    }
    a_fork(&lab, &browser, &alice);
    for browser in [&browser, &phone] {
        inspect(browser, "/forks");
        let asked = browser.requests();
        assert!(!asked.is_empty(), "the browser's own list of requests");
        let foreign = asked
            .iter()
            .filter(|url| !url.starts_with(URL) && !url.starts_with("data:"));
        assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

/// Looks at every page for faults.
fn inspect_all(browser: &Browser, payment: &str, address: &str) {
    for page in [
        "/",
        "/blocks",
        "/blocks/2",
        &format!("/transactions/{payment}"),
        &format!("/addresses/{address}"),
        "/mempool",
        "/peers",
        "/forks",
        "/search?q=nothing",
        "/nothing",
    ] {
        inspect(browser, page);
    }
}

/// The page of a payment that is open while the payment is confirmed.
struct Followed;

impl Followed {
    fn of(browser: &Browser, payment: &str) -> Self {
        browser.open(&format!("{URL}/transactions/{payment}"));
        browser.wait_for("why it waits", |text| {
            text.contains("waits for 1 more transaction") && text.contains("Live")
        });
        browser.run("window.stays = true");
        Self
    }

    fn is_confirmed(&self, browser: &Browser) {
        browser.wait_for("its block", |text| text.contains("in block 2"));
        let stayed = browser.run("return window.stays === true");
        assert_eq!(stayed, true, "the page was loaded again");
    }
}

/// A second miner has mined more on its own and joins: the first one's block leaves the
/// chain, and the fork tree that is open shows how.
fn a_fork(lab: &Lab, browser: &Browser, alice: &str) {
    let alone = home(lab, "east")
        .set("block_server_port", 3002)
        .set("http", "off");
    let apart = alone
        .set("status_broadcast_port", 4606)
        .set("transaction_port", 4608);
    let mut east = mine(&apart);
    reaches(&mut east, 1);
    for height in [2, 3] {
        send(&apart, "mining_rewards", "0.25", alice);
        send(&apart, "mining_rewards", "0.25", alice);
        reaches(&mut east, height);
    }
    drop(east);
    browser.open(&format!("{URL}/forks"));
    let before = browser.wait_for("a live page", |text| text.contains("Live"));
    assert!(before.contains("No fork"), "{before}");
    browser.run("window.stays = true");
    let _east = mine(&alone);
    browser.wait_for("the reorg", |text| text.contains("was replaced"));
    assert_eq!(browser.run("return window.stays === true"), true);
    let orphans = browser.run("return document.querySelectorAll('.tree .orphaned').length");
    assert_eq!(orphans, 2);
    let tips = browser.run("return document.querySelectorAll('.tree .tip').length");
    assert_eq!(tips, 1);
}

/// Opens a page and looks for faults of any kind.
fn inspect(browser: &Browser, page: &str) {
    browser.complaints();
    browser.open(&format!("{URL}{page}"));
    let text = browser.text();
    assert!(text.contains(NAME), "{page} does not show the name: {text}");
    let scripts = browser.run("return document.querySelectorAll('script:not([src])').length");
    assert_eq!(scripts, 0, "{page}");
    let complaints = browser.complaints();
    let complaints: Vec<_> = complaints
        .iter()
        // The browser complains of a page that is not there, as it should.
        .filter(|complaint| !page.ends_with("nothing") || !complaint.contains("status of 40"))
        .collect();
    assert!(complaints.is_empty(), "{page}: {complaints:?}");
    let wide = browser
        .run("return document.documentElement.scrollWidth > document.documentElement.clientWidth");
    assert_eq!(wide, false, "{page} is wider than the window");
    browser.run(AXE);
    let found = browser.run_until_called(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then( \
         r => done(r.violations.map(v => v.impact + ': ' + v.id + ': ' \
         + v.nodes.map(n => n.html).slice(0, 3).join(' '))), e => done(['failed: ' + e]))",
    );
    let faults: Vec<_> = found.as_array().into_iter().flatten().collect();
    assert!(faults.is_empty(), "{page}: {faults:#?}");
}

/// Waits until a figure of the overview has a value.
fn wait_for_figure(browser: &Browser, name: &str, value: &str) {
    let script = "return [...document.querySelectorAll('.figures dt')] \
         .map(dt => dt.textContent + ' ' + dt.nextElementSibling.firstElementChild.textContent)";
    until(&format!("{name} {value}"), || {
        let figures = browser.run(script);
        let wanted = format!("{name} {value}");
        figures
            .as_array()
            .is_some_and(|all| all.iter().any(|figure| *figure == wanted))
    });
}
