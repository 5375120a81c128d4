//! The page of the lab in a browser: a person splits the network, sees the fork, heals it and
//! sees one tip.

use super::{Lab, explorer::inspect};
use crate::browser::Browser;
use std::path::Path;

/// Where the page is, in a network namespace of its own.
const URL: &str = "http://127.0.0.1:8600";

/// How many blocks of the picture are of a kind.
fn count(browser: &Browser, kind: &str) -> u64 {
    let script = format!("return document.querySelectorAll('.tree .{kind}').length");
    browser.run(&script).as_u64().unwrap_or_default()
}

/// Clicks the button of a form.
fn click(browser: &Browser, button: &str) {
    browser.run(&format!(
        "window.stays = false; \
         [...document.querySelectorAll('button')].find(b => b.textContent === '{button}').click()"
    ));
    browser.wait_for("the page after the click", |text| text.contains("Live"));
}

/// Splits, looks, heals and looks.
pub fn split_and_heal(program: &Path) {
    let lab = Lab::new(program);
    let home = lab.bare_home("unused");
    let mut running = home.start_with_stdin(&["demo", "--lab"]);
    running.wait_for("the address of the page", |line| {
        line.contains(URL).then_some(())
    });
    let browser = Browser::start(1200, 900, false);
    browser.open(&format!("{URL}/"));
    browser.wait_for("a first block", |text| text.contains("by m"));
    inspect(&browser, URL, "/", "lab");

    click(&browser, "Split");
    browser.wait_for("the split", |text| text.contains("The network is split"));
    browser.run("window.stays = true");
    browser.wait_for("the fork", |_| count(&browser, "rival") >= 2);
    assert_eq!(browser.run("return window.stays === true"), true);
    inspect(&browser, URL, "/", "lab");

    click(&browser, "Heal");
    browser.wait_for("one chain", |text| {
        text.contains("The network is whole") && text.contains("gave up")
    });
    browser.wait_for("no rival", |_| count(&browser, "rival") == 0);
    assert_eq!(count(&browser, "tip"), 1);
    assert!(count(&browser, "orphaned") >= 1);
    let phone = Browser::start(390, 844, true);
    inspect(&phone, URL, "/", "lab");
}
