//! The transport's `lan` on real interfaces: hosts of a bridge, a cable that is cut, a
//! cable that is pulled. Each host's end runs as a process of its own: this test program
//! again, told its part by a variable.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mvb_actors::env::{Channel, Transport};
use mvb_node::transport::{NetTransport, Network, TransportConfig};
use mvb_tests::{
    isolated,
    namespaces::{Bridge, Half, Host},
    process::Running,
};
use std::{
    env,
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

const PART: &str = "MVB_TEST_PART";
const INTERFACES: &str = "MVB_TEST_INTERFACES";

/// Starts this program again on a host for one part of `test`.
fn part(host: &Host, test: &str, part: &str, interfaces: &str) -> Running {
    let entry = host.entry();
    let mut command = Command::new(&entry[0]);
    command
        .args(&entry[1..])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env(INTERFACES, interfaces)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running::spawn(command, format!("{part} at {}", host.address()))
}

/// Plays the part this process was started for, if any: never returns then.
fn play() {
    let Ok(part) = env::var(PART) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let interfaces = env::var(INTERFACES).unwrap_or_default();
    let net = NetTransport::new(TransportConfig {
        network: Network::Lan,
        interfaces: interfaces.split_whitespace().map(Into::into).collect(),
        ..TransportConfig::default()
    });
    runtime.block_on(async {
        match part.as_str() {
            "speaker" => speak(&net).await,
            _ => listen(&net).await,
        }
    });
}

/// Broadcasts numbers, and says which and how many sends have failed so far.
async fn speak(net: &NetTransport) {
    for number in 0_u64.. {
        let sent = net.broadcast(Channel::Status, &number.to_be_bytes()).await;
        let failed = net.failed_sends();
        say(&format!("said {number} {failed} {}", sent.is_ok()));
        // The beat of the speaker; what the test awaits are the lines.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Says what it hears and from where.
async fn listen(net: &NetTransport) {
    let ear = net.open(Channel::Status).await.unwrap();
    say("listening");
    let mut buffer = [0; 8];
    loop {
        let (_, source) = ear.receive(&mut buffer).await.unwrap();
        say(&format!("heard {} {source}", u64::from_be_bytes(buffer)));
    }
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn listener(host: &Host, test: &str) -> Running {
    let mut listener = part(host, test, "listener", "");
    listener.wait_for("an open port", |line| {
        line.contains("listening").then_some(())
    });
    listener
}

/// The next number heard, and who said it.
fn heard(listener: &mut Running, wanted: impl Fn(u64) -> bool) -> (u64, SocketAddr) {
    listener.wait_for("a number", |line| {
        let mut words = line.split(' ').skip_while(|word| *word != "heard").skip(1);
        let number = words.next()?.parse().ok()?;
        wanted(number).then(|| (number, words.next().unwrap().parse().unwrap()))
    })
}

/// The next number said, how many sends failed before, and whether this one went.
fn said(speaker: &mut Running, wanted: impl Fn(u64, u64) -> bool) -> (u64, u64, bool) {
    speaker.wait_for("a number said", |line| {
        let mut words = line.split(' ').skip_while(|word| *word != "said").skip(1);
        let (number, failed) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        wanted(number, failed).then(|| (number, failed, words.next() == Some("true")))
    })
}

#[test]
fn a_broadcast_reaches_the_other_hosts_and_ones_own_over_loopback_alone() {
    play();
    isolated!(|| {
        let test = "a_broadcast_reaches_the_other_hosts_and_ones_own_over_loopback_alone";
        let bridge = Bridge::build(&[Half::West, Half::East]);
        let mut near = listener(bridge.host(0), test);
        let mut far = listener(bridge.host(1), test);
        let _speaker = part(bridge.host(0), test, "speaker", "");
        let (first, source) = heard(&mut near, |_| true);
        assert!(source.ip().is_loopback(), "{source}");
        for expected in first + 1..first + 20 {
            // Each once, although the host's own interface carries them too.
            let (number, source) = heard(&mut near, |_| true);
            assert_eq!((number, source.ip().is_loopback()), (expected, true));
        }
        let (_, source) = heard(&mut far, |_| true);
        assert_eq!(source.ip(), bridge.host(0).address());
        assert_ne!(source.port(), TransportConfig::default().status_port);
    });
}

#[test]
fn a_cut_bridge_carries_nothing_until_it_is_healed() {
    play();
    isolated!(|| {
        let test = "a_cut_bridge_carries_nothing_until_it_is_healed";
        let bridge = Bridge::build(&[Half::West, Half::East]);
        let mut far = listener(bridge.host(1), test);
        let mut speaker = part(bridge.host(0), test, "speaker", "");
        heard(&mut far, |_| true);
        bridge.cut();
        // What was said before the cut may be read only now; what follows is lost.
        let (after_cut, ..) = said(&mut speaker, |_, _| true);
        let (last_lost, ..) = said(&mut speaker, |number, _| number >= after_cut + 10);
        bridge.heal();
        let (next, _) = heard(&mut far, |number| number > after_cut + 2);
        assert!(next > last_lost, "{next} crossed the cut bridge");
    });
}

#[test]
fn a_pulled_cable_is_counted_survived_and_plugged_in_again() {
    play();
    isolated!(|| {
        let test = "a_pulled_cable_is_counted_survived_and_plugged_in_again";
        let bridge = Bridge::build(&[Half::West, Half::West]);
        let mut far = listener(bridge.host(1), test);
        let mut near = listener(bridge.host(0), test);
        let mut speaker = part(bridge.host(0), test, "speaker", "");
        heard(&mut far, |_| true);
        bridge.host(0).unplug();
        let (number, _, sent) = said(&mut speaker, |_, failed| failed > 0);
        assert!(sent, "loopback still carries it");
        heard(&mut near, |heard| heard > number);
        bridge.host(0).plug();
        heard(&mut far, |heard| heard > number);
    });
}

#[test]
fn with_one_interface_named_the_others_are_not_used() {
    play();
    isolated!(|| {
        let test = "with_one_interface_named_the_others_are_not_used";
        let bridge = Bridge::build(&[Half::West, Half::West]);
        let mut far = listener(bridge.host(1), test);
        let mut elsewhere = part(bridge.host(0), test, "speaker", "eth7");
        said(&mut elsewhere, |number, _| number > 20);
        drop(elsewhere);
        let _here = part(bridge.host(0), test, "speaker", "eth0");
        // The first speaker got past 20; only the second begins anew and is heard.
        let (number, _) = heard(&mut far, |_| true);
        assert!(
            number < 20,
            "heard {number} of the speaker that had no interface"
        );
    });
}
