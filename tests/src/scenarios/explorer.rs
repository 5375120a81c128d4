//! The explorer in a browser: every page, what happens while one looks at it, and a fork.

use super::{Lab, mine, new_address, reaches, send};
use crate::{
    browser::{Browser, ENTER, TAB},
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
    look_at(&browser, "/mempool");
    look_at(&browser, &format!("/transactions/{first}"));
    let followed = Followed::of(&browser, &first);
    send(&west, "mining_rewards", "0.5", &alice);
    followed.is_confirmed(&browser);
    browser.open(&format!("{URL}/"));
    wait_for_figure(&browser, "Height", "2");

    let phone = Browser::start(390, 844, true);
    for browser in [&browser, &phone] {
        inspect_all(browser, &first, &alice);
    }
    a_keyboard_is_enough(&browser);
    a_fork(&lab, &browser, &alice);
    for browser in [&browser, &phone] {
        look_at(browser, "/forks");
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
        look_at(browser, page);
    }
}

fn look_at(browser: &Browser, page: &str) {
    inspect(browser, URL, page, NAME);
}

/// Whoever has no pointer gets to everything in the order in which it is read, sees where they
/// are, and can leave the navigation out.
fn a_keyboard_is_enough(browser: &Browser) {
    const AT: &str = "const at = document.activeElement; const style = getComputedStyle(at); \
         const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 \
             && at.getBoundingClientRect().left >= 0; \
         return (seen ? '' : 'unseen ') + (at.id || at.textContent.trim())";
    let at = || {
        let at = browser.run(AT);
        at.as_str().unwrap_or_default().to_owned()
    };
    browser.open(&format!("{URL}/"));
    let landmarks = browser.run(
        "return ['header', 'nav[aria-label]', 'form[role=search]', 'main', 'footer'] \
         .filter(part => document.querySelectorAll('body ' + part).length < 1)",
    );
    assert_eq!(
        landmarks,
        serde_json::json!([]),
        "landmarks that are missing"
    );
    browser.press(TAB);
    assert_eq!(at(), "Skip to content");
    browser.press(ENTER);
    let focused = browser.run("return document.activeElement.id");
    assert_eq!(focused, "main", "the navigation is not left out");

    browser.open(&format!("{URL}/"));
    let network = format!("mvb{NAME}");
    let order = [
        "Skip to content",
        &network,
        "Overview",
        "Blocks",
        "Fork tree",
        "Mempool",
        "Peers",
        "q",
    ];
    for expected in order {
        browser.press(TAB);
        assert_eq!(at(), expected);
    }
    browser.press("2");
    browser.press(ENTER);
    until("the page of block 2", || {
        let path = browser.run("return location.pathname");
        path.as_str()
            .is_some_and(|path| path.starts_with("/blocks/"))
    });
    for _ in 0..5 {
        browser.press(TAB);
    }
    assert_eq!(at(), "Fork tree");
    browser.press(ENTER);
    until("the fork tree", || {
        browser.run("return location.pathname") == "/forks"
    });
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

/// Opens a page, which shows a name, and looks for faults of any kind.
pub fn inspect(browser: &Browser, url: &str, page: &str, name: &str) {
    browser.complaints();
    browser.open(&format!("{url}{page}"));
    let text = browser.text();
    assert!(text.contains(name), "{page} does not show {name}: {text}");
    let unreached = browser.run(
        "return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select')] \
         .filter(one => one.tabIndex !== 0).map(one => one.outerHTML)",
    );
    assert_eq!(
        unreached,
        serde_json::json!([]),
        "{page}: not reached by keyboard"
    );
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
